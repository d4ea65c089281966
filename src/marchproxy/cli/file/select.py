"""Which entry of `modules` a process runs, and what its environment says about it."""

from collections.abc import Mapping, Sequence
from typing import TypeVar, get_args

from pydantic import ValidationError

from marchproxy.cli.file.schema import FileDocument, addresses_of
from marchproxy.kit.settings import HostPort, Problem, SettingsError
from marchproxy.modules.ailb.settings import AilbSettings
from marchproxy.modules.alb.settings import AlbSettings
from marchproxy.modules.dblb.settings import DblbSettings
from marchproxy.modules.http.settings import HttpSettings
from marchproxy.modules.rtmp.settings import RtmpSettings

M = TypeVar("M", AlbSettings, DblbSettings, AilbSettings, RtmpSettings)


def pick_module(document: FileDocument, kind: type[M], wanted: str | None, environ: Mapping[str, str]) -> M:
    """The entry of a kind with the id `wanted`, else $MODULE_ID, else the only one.

    $NLB_ENDPOINTS replaces its `nlbs`, and $XDS_SERVER the `xds_server` of an ALB.

    A $MODULE_ID that no entry has becomes the id of the only entry, so that containers may share a file. Raises
    SettingsError.
    """
    modules = [module for module in document.modules if isinstance(module, kind)]
    if not modules:
        name = kind.model_fields["type"].annotation
        raise SettingsError([Problem("modules", f"the file has no module of type {_type_name(name)}")])
    module = _pick(modules, wanted, environ.get("MODULE_ID"))
    if nlbs := _addresses("NLB_ENDPOINTS", environ):
        module = module.model_copy(update={"nlbs": nlbs})
    if kind is AlbSettings and (servers := _addresses("XDS_SERVER", environ)):
        module = _served_by(module, servers)
    return module


def replica_of(settings: M, number: int) -> M:
    """Settings of a further instance beside `settings`: id `ID.NUMBER`, and the system chooses every port."""
    update: dict[str, object] = {"id": f"{settings.id}.{number}"}
    if isinstance(settings, HttpSettings):
        admin = HostPort(settings.envoy.admin.host, 0)
        update["envoy"] = settings.envoy.model_copy(update={"admin": admin})
    anywhere = {name: HostPort(address.host, 0) for name, address in addresses_of(settings).items()}
    return settings.model_copy(update={**update, **anywhere})


def _type_name(annotation: object) -> str:
    (name,) = get_args(annotation)
    return str(name)


def _pick(modules: Sequence[M], wanted: str | None, from_environ: str | None) -> M:
    by_id = {module.id: module for module in modules}
    known = ", ".join(by_id)
    if wanted is not None:
        if wanted not in by_id:
            raise SettingsError([Problem("modules", f'no module "{wanted}"; known: {known}', None, "--id")])
        return by_id[wanted]
    if from_environ in by_id:
        return by_id[from_environ]
    if len(modules) > 1:
        hint = f'no module "{from_environ}"' if from_environ else "there are several modules"
        raise SettingsError([Problem("modules", f"{hint}; say which one with --id: {known}")])
    return _renamed(modules[0], from_environ) if from_environ else modules[0]


def _renamed(module: M, name: str) -> M:
    try:
        return type(module).model_validate({**dict(module), "id": name})
    except ValueError as error:  # pydantic's; only the id can be wrong
        message = f'"{name}" is no id: letters, digits, ".", "_" and "-", at most 100'
        raise SettingsError([Problem("", message, None, "$MODULE_ID")]) from error


def _served_by(module: M, servers: tuple[HostPort, ...]) -> M:
    try:
        return type(module).model_validate({**dict(module), "xds_server": servers})
    except ValidationError as error:
        words = "; ".join(one["msg"].removeprefix("Value error, ") for one in error.errors())
        raise SettingsError([Problem("", words, None, "$XDS_SERVER")]) from error


def _addresses(name: str, environ: Mapping[str, str]) -> tuple[HostPort, ...]:
    try:
        return tuple(HostPort.parse(part) for part in environ.get(name, "").split(",") if part.strip())
    except ValueError as error:
        raise SettingsError([Problem("", str(error), None, f"${name}")]) from error
