"""The document as a file that people edit: every problem with its line."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from marchproxy.contract.document.convert import to_model
from marchproxy.contract.document.partial import problems_beside
from marchproxy.contract.document.schema import StateDocument
from marchproxy.kit.settings import DEFAULT_PREFIX, Located, Problem, SettingsError, dotted, load, read
from marchproxy.model.checks import check_state
from marchproxy.model.problem import Problem as ModelProblem
from marchproxy.model.state import DesiredState

D = TypeVar("D", bound=StateDocument)
_NO_ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType({})


def load_document(
    model: type[D],
    text_or_path: str | Path,
    *,
    environ: Mapping[str, str],
    prefix: str = DEFAULT_PREFIX,
    aliases: Mapping[str, tuple[str, ...]] = _NO_ALIASES,
    beyond: Callable[[D, DesiredState], Iterable[ModelProblem]] = lambda _, __: (),
) -> tuple[D, DesiredState]:
    """Read YAML text (str) or a YAML file (Path), lay the environment over it, check it: the document and its state.

    `model` may add sections to StateDocument; `beyond` judges what is sound by itself. Raises SettingsError with every problem, in the order of the document.
    """
    try:
        document = load(model, text_or_path, environ=environ, prefix=prefix, aliases=aliases)
    except SettingsError as error:
        located = read(text_or_path)  # raises the same again when the text is not even YAML
        others = _locate(problems_beside(error.problems, located.value), located)
        raise SettingsError(_in_order([*error.problems, *others])) from error
    state = to_model(document)
    problems = check_state(state) or tuple(beyond(document, state))
    if problems:
        raise SettingsError(_in_order(_locate(problems, read(text_or_path))))
    return document, state


def _locate(problems: Iterable[ModelProblem], located: Located) -> list[Problem]:
    lines = {dotted(path): line for path, line in located.lines.items()}
    return [Problem(p.path, p.message, _line(p.path, lines), located.file) for p in problems]


def _line(path: str, lines: Mapping[str, int]) -> int | None:
    """The line of `path`, or of the nearest part of the document around it."""
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path)


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    # what has no line, such as a variable of the environment, comes last
    return sorted(problems, key=lambda problem: (problem.line is None, problem.line or 0))
