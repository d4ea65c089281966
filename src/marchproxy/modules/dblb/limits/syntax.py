"""Syntax: how a session's server reads text after the session has set something. Pure.

A session that has changed the meaning of quotes or backslashes could show the firewall another statement than its server
runs. Where it cannot be told what was set, the texts that depend on it are not read: to the firewall they are not understood.
"""

from collections.abc import Iterable
from dataclasses import replace

from marchproxy.modules.dblb.sql import Dialect, Scope, Setting, Syntax

_ENCODINGS = frozenset({"client_encoding", "names", "character_set_client", "character set", "charset"})
_ON = frozenset({"on", "true", "yes", "1"})


def syntax_after(syntax: Syntax, settings: Iterable[Setting]) -> Syntax:
    """The syntax of the texts after one that sets these."""
    for setting in settings:
        if setting.scope is not Scope.GLOBAL:
            syntax = _after(syntax, setting)
    return syntax


def _after(syntax: Syntax, setting: Setting) -> Syntax:
    name, value = setting.name, (setting.value or "").lower()
    if name in _ENCODINGS:
        plain = value.replace("-", "").replace("'", "")
        return replace(syntax, utf8=setting.reset or plain.startswith(("utf8", "unicode")))
    if syntax.dialect is Dialect.POSTGRES:
        if name == "standard_conforming_strings":
            return replace(syntax, usual_backslash=setting.reset or value in _ON)
        return Syntax(Dialect.POSTGRES) if name == "all" and setting.reset else syntax
    if name == "sql_mode":
        unknown = setting.value is None or value.startswith("@@")
        return replace(
            syntax,
            ansi_quotes=unknown or "ansi" in value,
            usual_backslash=not unknown and "no_backslash_escapes" not in value,
        )
    return syntax
