"""Checks of paths: those that are matched, and those that are put in their place."""

import re
from collections.abc import Iterator

from marchproxy.model.http import Redirect, Rewrite
from marchproxy.model.problem import Problem
from marchproxy.model.route import PathKind, PathMatch
from marchproxy.model.rules import check_regex
from marchproxy.model.template import check_template, template_names

_NAME = re.compile(r"\{([^{}]*)\}")
_GROUP = re.compile(r"\\(?:(?P<number>[0-9])|(?P<itself>\\)|(?P<other>.?))", re.DOTALL)
_BLANK = re.compile(r"[\x00-\x20\x7f]")


def check_path(match: PathMatch, path: str) -> Iterator[Problem]:
    """Faults of a path to match."""
    match match.kind:
        case PathKind.REGEX:
            yield from check_regex(match.value, path)
        case PathKind.TEMPLATE:
            yield from check_template(match.value, path)
            yield from _check_end(match.value, path)
        case PathKind.EXACT | PathKind.PREFIX:
            yield from _check_literal(match.value, path)


def check_rewrite_path(rewrite: Rewrite, match: PathMatch, path: str) -> Iterator[Problem]:
    """Faults of the path that a backend is asked for, given what the route matches."""
    if rewrite.pattern:
        faults = list(check_regex(rewrite.pattern, f"{path}.pattern"))
        yield from faults
        if not rewrite.path:
            yield Problem(f"{path}.path", "is needed: it replaces what pattern matches")
        elif not faults:
            yield from _check_groups(rewrite.path, re.compile(rewrite.pattern).groups, f"{path}.path")
    elif rewrite.path:
        if match.kind is PathKind.REGEX:
            yield Problem(f"{path}.path", "a path matched by regex is rewritten with pattern")
        yield from _check_literal(rewrite.path, f"{path}.path")
        yield from _check_names(rewrite.path, match, f"{path}.path")


def check_redirect_path(redirect: Redirect, match: PathMatch, path: str) -> Iterator[Problem]:
    """Faults of the path that a client is sent to, given what the route matches."""
    if redirect.path and redirect.prefix:
        yield Problem(f"{path}.prefix", "and path are both given; one of them can be")
    if redirect.prefix and match.kind is not PathKind.PREFIX:
        yield Problem(f"{path}.prefix", f"replaces a prefix, and the route matches {match.kind.value}")
    for key, value in (("path", redirect.path), ("prefix", redirect.prefix)):
        if value:
            yield from _check_literal(value, f"{path}.{key}")


def check_api_path(value: str, path: str) -> Iterator[Problem]:
    """Faults of a path that requests of ours are sent to."""
    yield from _check_literal(value, path)
    yield from _check_no_blank(value, path)


def _check_literal(value: str, path: str) -> Iterator[Problem]:
    if not value.startswith("/"):
        yield Problem(path, f'"{value}" does not begin with /')
    else:
        yield from _check_end(value, path)


def _check_end(value: str, path: str) -> Iterator[Problem]:
    if set(value) & set("?#"):
        yield Problem(path, f'"{value}": a path ends before its query string')


def _check_no_blank(value: str, path: str) -> Iterator[Problem]:
    if _BLANK.search(value):
        yield Problem(path, f'"{value}" has a blank or a control character in it')


def _check_names(value: str, match: PathMatch, path: str) -> Iterator[Problem]:
    """Names are those of the template; anywhere else braces are not what their author thinks."""
    yield from _check_no_blank(value, path)
    names = template_names(match.value) if match.kind is PathKind.TEMPLATE else ()
    for name in _NAME.findall(value):
        if name not in names:
            there = f"; it has {', '.join(names)}" if names else ""
            yield Problem(path, f'"{{{name}}}" is not a name in the path\'s template{there}')
    if set(_NAME.sub("", value)) & set("{}"):
        yield Problem(path, f'"{value}": a brace is missing')


def _check_groups(value: str, groups: int, path: str) -> Iterator[Problem]:
    """Faults of a replacement in RE2's notation."""
    for found in _GROUP.finditer(value):
        if found["number"] and int(found["number"]) > groups:
            yield Problem(path, f"\\{found['number']}: the pattern has {groups} groups")
        elif found["other"] is not None:
            yield Problem(path, f'"{found[0]}": after \\ comes the number of a group, or \\')
