"""Rewriting: which path a backend is asked for in place of the one that the client asked for. Pure."""

import re
from typing import assert_never

from marchproxy.model.http import Rewrite
from marchproxy.model.matching import compiled
from marchproxy.model.route import PathKind, PathMatch
from marchproxy.model.template import template_pattern

_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_GROUP = re.compile(r"\\([0-9\\])")


def rewritten_path(rewrite: Rewrite, match: PathMatch, path: str) -> str:
    """The path that becomes of one that `match` matches; the rewrite must be sound."""
    if rewrite.pattern:
        return compiled(rewrite.pattern).sub(lambda found: _with_groups(rewrite.path, found), path)
    if not rewrite.path:
        return path
    match match.kind:
        case PathKind.PREFIX:
            return rewrite.path.rstrip("/") + path[len(match.value.rstrip("/")) :] or "/"
        case PathKind.EXACT | PathKind.REGEX:
            return rewrite.path
        case PathKind.TEMPLATE:
            found = compiled(template_pattern(match.value)).fullmatch(path)
            values = found.groupdict() if found else {}
            return _NAME.sub(lambda name: values.get(name[1], name[0]), rewrite.path)
        case _:
            assert_never(match.kind)


def _with_groups(text: str, found: re.Match[str]) -> str:
    return _GROUP.sub(lambda group: "\\" if group[1] == "\\" else found[int(group[1])] or "", text)
