"""Paths: what a backend or a redirect is given in place of the path that a route matched.

Envoy replaces the characters of a prefix, so `/api` → `/` would make `//x` of `/api/x`, and `/` → `/v2` `/v2x` of `/x`;
here the prefix is replaced by whole segments.
"""

import re
from collections.abc import Mapping
from typing import Any, assert_never

from envoy.type.matcher.v3 import regex_pb2

from marchproxy.model.http import Rewrite
from marchproxy.model.route import PathKind, PathMatch
from marchproxy.model.template import template_pattern

_NAMED = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def rewrite_path(action: Any, path: PathMatch, rewrite: Rewrite) -> None:
    """Give a forwarding action its rewrite of the path that `path` matched."""
    if not rewrite.path and not rewrite.pattern:
        return
    if rewrite.pattern:
        action.regex_rewrite.CopyFrom(_substitute(rewrite.pattern, rewrite.path))
        return
    match path.kind:
        case PathKind.PREFIX:
            replace_prefix(action, path.value, rewrite.path)
        case PathKind.EXACT:
            action.prefix_rewrite = rewrite.path
        case PathKind.REGEX:
            action.regex_rewrite.CopyFrom(_substitute(f"^(?:{path.value})$", _literal(rewrite.path)))
        case PathKind.TEMPLATE:
            pattern = template_pattern(path.value)
            groups = re.compile(pattern).groupindex
            action.regex_rewrite.CopyFrom(_substitute(f"^{pattern}$", _with_groups(rewrite.path, groups)))
        case _ as other:
            assert_never(other)


def replace_prefix(action: Any, prefix: str, by: str) -> None:
    """Give an action (forwarding, or a redirect) another prefix in place of the one that matched."""
    old, new = prefix.rstrip("/"), by.rstrip("/")
    if old and new:
        action.prefix_rewrite = new
    elif old:
        action.regex_rewrite.CopyFrom(_substitute(f"^{re.escape(old)}/?", "/"))
    elif new:
        action.prefix_rewrite = f"{new}/"


def _with_groups(template: str, groups: Mapping[str, int]) -> str:
    """`{name}` as what the match's name stood for; a name that the match has not is text."""
    parts = _NAMED.split(template)
    named = (f"\\{groups[name]}" if name in groups else f"{{{name}}}" for name in parts[1::2])
    return "".join(
        text for pair in zip(map(_literal, parts[::2]), [*named, ""], strict=True) for text in pair
    )


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\")


def _substitute(pattern: str, by: str) -> Any:
    return regex_pb2.RegexMatchAndSubstitute(pattern=regex_pb2.RegexMatcher(regex=pattern), substitution=by)
