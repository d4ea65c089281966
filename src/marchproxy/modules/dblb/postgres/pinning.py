"""Pinning: what a statement leaves in its server's session, so that nobody else may have that until it is cleared. Pure.

Most statements can leave nothing, and that is told from a few of their bytes; those that might are read. What a function
does, or a DO block, cannot be seen: see docs/adr/0024-postgres-sessions.md.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from marchproxy.modules.dblb.postgres.settling import FOLLOWING
from marchproxy.modules.dblb.sql import Reader, Scope, Setting

#: How a statement begins that leaves nothing unless _TRACES finds a word in it; the three letters in the usual cases.
_HARMLESS = frozenset(
    case
    for word in (
        b"sel",
        b"ins",
        b"upd",
        b"del",
        b"beg",
        b"com",
        b"end",
        b"rol",
        b"sav",
        b"cop",
        b"val",
        b"sho",
    )
    for case in (word, word.upper(), word.capitalize())
)
_SELECTS = frozenset((b"sel", b"SEL", b"Sel"))
#: advisory, set_config, temp and pg_temp, names with escapes; and a second statement that does not begin harmlessly.
_TRACES = re.compile(
    rb"[vVmM_;&](?:(?<=[vV])[iI][sS][oO]|(?<=[mM])[pP]|(?<=_)[cC][oO][nN][fF]|(?<=[uU]&)\""
    rb"|(?<=;)(?!\s*(?i:sel|ins|upd|del|beg|com|end|rol|\0|\Z)))"
)
_WORDS = re.compile(
    rb"(?i)\b(?:listen|load|prepare|set|reset|discard|hold|declare)\b|advisory|set_config|temp|u&\""
)
_LOWER = {name.lower(): name for name in FOLLOWING}
_SHORTEST_SINCE_12 = 120000


@dataclass(frozen=True, slots=True)
class Residue:
    """What a statement may leave: things that pin at once, and settings, which pin where servers do not report them."""

    pins: frozenset[str] = frozenset()
    settings: tuple[Setting, ...] = ()

    def reason(self, reported: Mapping[str, str]) -> str:
        """Why the session must keep a server that reports these; empty: it need not."""
        unknown = sorted(
            setting.name
            for setting in self.settings
            if not _is_followed(setting.name, setting.value, reported)
        )
        return ", ".join([*sorted(self.pins), *(f"set {name}" for name in unknown)])


def may_leave(message: bytes, at: int) -> bool:
    """Whether the statement that begins there can leave anything; mostly False, and True for much that leaves nothing."""
    word = message[at : at + 3]
    if word not in _HARMLESS:
        return True
    if message.find(b"(", at) < 0 and message.find(b";", at, -2) < 0:
        # one statement, that calls nothing: it could only be SELECT … INTO a temporary table
        # (`in` would raise an error within itself first, as it might be asked about a number)
        return word in _SELECTS and message.lower().find(b"into", at) >= 0
    return _TRACES.search(message, at) is not None


def residue(text: bytes, reader: Reader) -> Residue | None:
    """What a statement may leave; None: nothing."""
    if _WORDS.search(text) is None:
        return None
    facts = reader.facts(text)
    if facts.problem:
        return Residue(frozenset({"not understood"}))
    settings = tuple(
        setting for setting in facts.settings if setting.scope is Scope.SESSION and not setting.reset
    )
    return Residue(facts.pins, settings) if facts.pins or settings else None


def unfollowed(asked: Mapping[str, str], reported: Mapping[str, str]) -> dict[str, str]:
    """Of the settings that a client begins with those that must be brought to a server which is then its own."""
    return {name: value for name, value in asked.items() if not _is_followed(name.lower(), value, reported)}


def followed_name(name: str) -> str | None:
    """A setting as servers report it, whichever way it is written; None: it does not follow its client."""
    return _LOWER.get(name.lower())


def _is_followed(name: str, value: str | None, reported: Mapping[str, str]) -> bool:
    if name == "extra_float_digits":
        # since 12 every value above 0 means the shortest exact text, which is the default
        return (value or "").isdigit() and value != "0" and _version(reported) >= _SHORTEST_SINCE_12
    known = _LOWER.get(name)
    return known is not None and known in reported


def _version(reported: Mapping[str, str]) -> int:
    found = re.match(r"(\d+)", reported.get("server_version", ""))
    return int(found[1]) * 10000 if found else 0
