"""Path templates such as `/users/{id}/files/{path=**}`: what they match, and which of two is the more specific.

A segment is plain text, or `*` or `{name}` for any one segment; the last may be `**` or `{name=**}`, for all that is left.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from marchproxy.model.problem import Problem

_VARIABLE = re.compile(r"\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<rest>=\*\*)?\}|\*\*|\*")


@lru_cache(maxsize=1024)
def template_pattern(template: str) -> str:
    """The template as a regular expression with named groups, of Python's and of RE2's syntax."""
    return "/".join([_segment_pattern(segment) for segment in template.split("/")])


def template_names(template: str) -> tuple[str, ...]:
    """The names in a template, in their order; with `**` and `*` they are its groups, so this leaves the others out."""
    variables = (_VARIABLE.fullmatch(segment) for segment in template.split("/"))
    return tuple(variable["name"] for variable in variables if variable is not None and variable["name"])


@lru_cache(maxsize=1024)
def template_rank(template: str) -> tuple[int, int]:
    """Sort key, the most specific first: more plain text, then one segment before all that is left."""
    shape = template_shape(template)
    return -sum(len(segment) + 1 for segment in shape if isinstance(segment, str)), int(shape[-1:] == (...,))


@lru_cache(maxsize=1024)
def template_shape(template: str) -> tuple[object, ...]:
    """The segments: plain text as it is, None for any one segment, `...` for all that is left."""
    return tuple([_shape_of(segment) for segment in template.split("/")[1:]])


def templates_meet(first: str, second: str) -> bool:
    """Whether some path is matched by both."""
    one, other = template_shape(first), template_shape(second)
    for mine, theirs in zip(one, other, strict=False):
        if ... in {mine, theirs}:
            return True
        if None in {mine, theirs}:
            if "" in {mine, theirs}:  # any one segment has a character at least
                return False
        elif mine != theirs:
            return False
    return len(one) == len(other)


def check_template(template: str, path: str) -> Iterator[Problem]:
    """Faults of a template."""
    if not template.startswith("/"):
        yield Problem(path, f'"{template}" does not begin with /')
        return
    segments = template.split("/")[1:]
    for segment in segments:
        if set(segment) & set("*{}") and not _VARIABLE.fullmatch(segment):
            yield Problem(
                path,
                f'"{segment}" is not a segment: plain text, *, {{name}}, or at the end ** or {{name=**}}',
            )
    shape = template_shape(template)
    if ... in shape[:-1]:
        yield Problem(path, f'"{segments[shape.index(...)]}" takes all that is left, so it comes last')
    names = template_names(template)
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield Problem(path, f'the name "{name}" stands there twice')


def _segment_pattern(segment: str) -> str:
    shape, variable = _shape_of(segment), _VARIABLE.fullmatch(segment)
    if variable is None:
        return re.escape(segment)
    inner = ".*" if shape is ... else "[^/]+"
    return f"(?P<{variable['name']}>{inner})" if variable["name"] else inner


def _shape_of(segment: str) -> object:
    variable = _VARIABLE.fullmatch(segment)
    if variable is None:
        return segment
    return ... if variable["rest"] or segment == "**" else None
