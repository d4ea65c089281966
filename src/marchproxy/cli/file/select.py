"""Which entry of `modules` a process runs, and what its environment says about it."""

from collections.abc import Mapping

from marchproxy.cli.file.schema import FileDocument
from marchproxy.kit.settings import HostPort, Problem, SettingsError
from marchproxy.modules.alb.settings import ADDRESSES, AlbSettings


def pick_module(document: FileDocument, wanted: str | None, environ: Mapping[str, str]) -> AlbSettings:
    """The entry with the id `wanted`, else $MODULE_ID, else the only one; $NLB_ENDPOINTS replaces its `nlbs`.

    A $MODULE_ID that no entry has becomes the id of the only entry, so that containers may share a file. Raises
    SettingsError.
    """
    if environ.get("XDS_SERVER"):
        message = "a central xDS server is not supported yet; unset it, and the ALB programs its own Envoy"
        raise SettingsError([Problem("", message, None, "$XDS_SERVER")])
    module = _pick(document.modules, wanted, environ.get("MODULE_ID"))
    nlbs = _nlb_endpoints(environ.get("NLB_ENDPOINTS", ""))
    return module.model_copy(update={"nlbs": nlbs}) if nlbs else module


def replica_of(settings: AlbSettings, number: int) -> AlbSettings:
    """Settings of a further instance beside `settings`: id `ID.NUMBER`, and the system chooses every port."""
    update = {"id": f"{settings.id}.{number}", "envoy": _envoy_anywhere(settings)}
    given = {name: address for name in ADDRESSES if (address := getattr(settings, name)) is not None}
    anywhere = {name: HostPort(address.host, 0) for name, address in given.items()}
    return settings.model_copy(update={**update, **anywhere})


def _envoy_anywhere(settings: AlbSettings) -> object:
    return settings.envoy.model_copy(update={"admin": HostPort(settings.envoy.admin.host, 0)})


def _pick(modules: tuple[AlbSettings, ...], wanted: str | None, from_environ: str | None) -> AlbSettings:
    by_id = {module.id: module for module in modules}
    if not modules:
        raise SettingsError([Problem("modules", "the file has no module of type alb")])
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


def _renamed(module: AlbSettings, name: str) -> AlbSettings:
    try:
        return AlbSettings.model_validate({**dict(module), "id": name})
    except ValueError as error:  # pydantic's; only the id can be wrong
        message = f'"{name}" is no id: letters, digits, ".", "_" and "-", at most 100'
        raise SettingsError([Problem("", message, None, "$MODULE_ID")]) from error


def _nlb_endpoints(text: str) -> tuple[HostPort, ...]:
    try:
        return tuple(HostPort.parse(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SettingsError([Problem("", str(error), None, "$NLB_ENDPOINTS")]) from error
