"""YAML into plain values plus the line of every key and item.

Scalars follow YAML 1.2 where 1.1 surprises: `on`, `no`, `22:22` and dates stay text. Specification: yaml.org/spec/1.2.2
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from marchproxy.kit.settings.problems import KeyPath, Problem, SettingsError, dotted

if TYPE_CHECKING:
    from yaml import SafeLoader as Loader
else:
    Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_BYTES = 16 * 1024 * 1024
MAX_NODES = 500_000  # aliases are expanded: a few lines of YAML can mean billions of nodes
MAX_DEPTH = 64

_TEXT = "tag:yaml.org,2002:str"
_EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")  # a number in 1.2, often text in 1.1
_MERGE = "tag:yaml.org,2002:merge"
_COLLECTIONS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_TEXT_IN_YAML_1_2 = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}


@dataclass(frozen=True, slots=True)
class Located:
    """Plain values and where each was written. `lines` maps a path of keys and indices to its line, from 1."""

    value: object
    lines: Mapping[KeyPath, int]
    file: str | None = None

    def problem(self, path: KeyPath, message: str) -> Problem:
        """Return a Problem at `path`, with the line of the nearest part of the path that is in the document."""
        return Problem(dotted(path), message, line_of(self.lines, path), self.file)


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int | None:
    """Return the line of `path`, or of the nearest thing around it; None when the document is empty."""
    for length in range(len(path), -1, -1):
        if (line := lines.get(path[:length])) is not None:
            return line
    return None


def parse_yaml(text: str, file: str | None = None) -> Located:
    """Parse one YAML document. An empty one is an empty mapping.

    Raises SettingsError: syntax errors, unsafe tags, duplicate keys (all of them), more than one document, and
    documents over MAX_BYTES, MAX_NODES or MAX_DEPTH.
    """
    if len(text) > MAX_BYTES:
        raise SettingsError([Problem("", f"larger than {MAX_BYTES} characters", None, file)])
    try:
        _check_depth(text, file)
        loader = Loader(text)
        node = loader.get_single_node()
        if node is None:
            return Located({}, {}, file)
        reader = _Reader(loader, file)
        value = reader.read(node, ())
    except yaml.MarkedYAMLError as error:
        raise SettingsError([_from_yaml(error, file)]) from error
    except yaml.YAMLError as error:
        raise SettingsError([Problem("", f"not readable as YAML: {error}", None, file)]) from error
    if reader.problems:
        raise SettingsError(reader.problems)
    return Located(value, reader.lines, file)


@dataclass(slots=True)
class _Reader:
    loader: Loader
    file: str | None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0

    def read(self, node: yaml.Node, path: KeyPath) -> object:
        self.nodes += 1
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            limit = f"{MAX_NODES} values" if self.nodes > MAX_NODES else f"{MAX_DEPTH} levels"
            raise SettingsError([Problem(dotted(path), f"more than {limit}", _line(node), self.file)])
        self.lines.setdefault(path, _line(node))
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _COLLECTIONS:
            self._report(node, path, f"the tag {node.tag} is not allowed")
        match node:
            case yaml.MappingNode():
                return self._mapping(node, path)
            case yaml.SequenceNode():
                return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
            case _:
                return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        own: dict[str, object] = {}
        merged: dict[str, object] = {}
        first_lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged = {**self._merged(value_node, path), **merged}
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._report(key_node, path, "a key must be plain text")
                continue
            key, line = str(key_node.value), _line(key_node)
            if key in own:
                self._report(
                    key_node, (*path, key), f"duplicate key; it was first given on line {first_lines[key]}"
                )
                continue
            first_lines[key] = self.lines[(*path, key)] = line
            own[key] = self.read(value_node, (*path, key))
        return {**merged, **own}

    def _merged(self, node: yaml.Node, path: KeyPath) -> dict[str, object]:
        # `<<: *defaults` or `<<: [*first, *second]`; the first to name a key wins
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        result: dict[str, object] = {}
        for source in reversed(sources):
            if not isinstance(source, yaml.MappingNode):
                self._report(source, path, "only mappings can be merged with <<")
                continue
            value = self.read(source, path)
            result.update(value if isinstance(value, dict) else {})
        return result

    def _scalar(self, node: yaml.Node, path: KeyPath) -> object:
        text = str(node.value)
        plain = isinstance(node, yaml.ScalarNode) and not node.style
        if plain and node.tag == _TEXT and _EXPONENT.fullmatch(text):
            return float(text)
        if node.tag in _TEXT_IN_YAML_1_2:
            return text
        if node.tag.endswith(":bool") and text.lower() not in {"true", "false"}:
            return text
        if node.tag.endswith((":int", ":float")) and ":" in text:
            return text
        try:
            return self.loader.construct_object(node, deep=True)
        except ValueError as error:  # `!!int x`, `0x_`, a number with thousands of digits
            self._report(node, path, f"not a value of this kind: {error}")
            return None

    def _report(self, node: yaml.Node, path: KeyPath, message: str) -> None:
        self.problems.append(Problem(dotted(path), message, _line(node), self.file))


def _check_depth(text: str, file: str | None) -> None:
    # before composing, which is recursive C: on a hundred thousand opening brackets it crashes the process
    depth = 0
    for event in yaml.parse(text, Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else None
            raise SettingsError([Problem("", f"more than {MAX_DEPTH} levels", line, file)])


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _from_yaml(error: yaml.MarkedYAMLError, file: str | None) -> Problem:
    mark = error.problem_mark or error.context_mark
    message = " ".join(part for part in (error.context, error.problem) if part)
    return Problem("", f"not readable as YAML: {message}", mark.line + 1 if mark else None, file)
