"""From a path and an environment to a checked file: every error at once, each with its line."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from marchproxy.cli.file import checks
from marchproxy.cli.file.schema import FileDocument, with_defaults
from marchproxy.cli.file.spending import spending_warnings
from marchproxy.cli.file.streams import stream_warnings
from marchproxy.contract.document import load_document
from marchproxy.kit.settings import Problem, SettingsError, load, read
from marchproxy.model.problem import Problem as ModelProblem
from marchproxy.model.state import DesiredState
from marchproxy.modules.dblb import rules as dblb
from marchproxy.modules.dblb.settings import DblbSettings
from marchproxy.modules.rtmp import rules as rtmp
from marchproxy.modules.rtmp.settings import RtmpSettings

#: Variables with our prefix that are options of commands, not settings of a file.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "MARCHPROXY_NLB": (),
    "MARCHPROXY_FILE": (),
    "MARCHPROXY_CONTEXT": (),
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A sound file. `warnings` say what is allowed, but hardly meant."""

    document: FileDocument
    state: DesiredState
    warnings: tuple[Problem, ...] = ()


def load_file(path: Path, environ: Mapping[str, str]) -> Loaded:
    """Read the file, lay `MARCHPROXY_…` variables over it, and check it. Raises SettingsError with every problem."""
    try:
        document, state = load_document(
            FileDocument, path, environ=environ, aliases=OPTIONS, beyond=_of_modules
        )
    except SettingsError as error:
        others = _errors_beside(path, environ)
        raise SettingsError(_in_order([*error.problems, *others])) from error
    located = read(path)
    problems = list(checks.errors(document, located))
    if problems:
        raise SettingsError(_in_order(problems))
    warnings = (
        *checks.warnings(document, located),
        *spending_warnings(state, located),
        *stream_warnings(document, state, located),
    )
    return Loaded(with_defaults(document), state, warnings)


def _of_modules(document: FileDocument, state: DesiredState) -> Iterator[ModelProblem]:
    """What the modules of the file could not do of its state."""
    if any(isinstance(module, DblbSettings) for module in document.modules):
        yield from dblb.faults(state)
    if any(isinstance(module, RtmpSettings) for module in document.modules):
        yield from rtmp.faults(state)


def load_settings(path: Path, environ: Mapping[str, str]) -> FileDocument:
    """The settings of a file whose desired state may have faults. Raises SettingsError when they have some themselves."""
    return with_defaults(load(FileDocument, path, environ=environ, aliases=OPTIONS))


def _errors_beside(path: Path, environ: Mapping[str, str]) -> list[Problem]:
    """What the file's own checks find when its form is right and only the desired state has faults."""
    try:
        return list(checks.errors(load(FileDocument, path, environ=environ, aliases=OPTIONS), read(path)))
    except SettingsError:
        return []  # its form is wrong, which is told already


def _in_order(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.line is None, problem.line or 0))
