"""Reads: whether what a client asks may be answered by a replica. Pure; any doubt means the primary.

What is judged is all that a client sent up to a Sync or a Query: it is answered by one server. It is only fit when it can be
asked again, of another server, as it is.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Protocol

from marchproxy.modules.dblb.sql import (
    Dialect,
    Facts,
    Hint,
    Reader,
    Syntax,
    Volatility,
    replica_obstacle,
)
from marchproxy.wire.postgres.framing import Event
from marchproxy.wire.postgres.frontend import read_bind, read_parse, read_query, read_target

_STATEMENT = ord("S")
_ENDS, _SILENT = frozenset(b"QS"), frozenset(b"ES")


class Kind(IntEnum):
    """The messages of which requests that may be reads are made."""

    QUERY = ord("Q")
    PARSE = ord("P")
    BIND = ord("B")
    DESCRIBE = ord("D")


#: What says something of the server that is asked, rather than of the data.
_SERVERS_OWN_TABLES = re.compile(
    r"(pg_catalog\.)?pg_(stat|locks|settings|replication|prepared|cursors|sequences|file_|hba_|ident_|shmem|backend|config)"
    r"|information_schema\.sequences"
)
_SERVERS_OWN_FUNCTIONS = re.compile(
    r"(pg_catalog\.)?(current_setting|inet_\w+|txid_\w+|version"
    r"|pg_(stat|is|backend|postmaster|conf|current|snapshot|my_temp|listening|lock|show|get_wal|control)\w*)"
)


class Known(Protocol):
    """What is known of a database."""

    def volatility(self, function: str) -> Volatility | None:
        """Of the functions of a name."""
        ...

    def is_primarys(self, tables: frozenset[str]) -> bool | None:
        """Whether one of these must be read on the primary."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where requests may go. `obstacle`: why not to a replica; empty: they may."""

    obstacle: str = ""
    hint: Hint = Hint()
    begins: bool = False
    """A transaction that only reads begins: it stays where it begins."""


#: The text of a statement that the client has, by its name; None: it has none of that name.
Prepared = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class Reading:
    """A session, as far as it matters here. `read_only`: its transactions only read unless they say otherwise."""

    prepared: Prepared
    known: Known
    read_only: bool = False


class Judge:
    """Judges by the texts of statements, for sessions that read texts alike. One for all of a worker."""

    def __init__(self, reader: Reader, *, hints: bool = True) -> None:
        self._reader = reader
        self._hints = hints

    def judge(self, data: bytes, events: Sequence[Event], session: Reading) -> Verdict:
        """What came at once. Raises ProtocolFault."""
        try:
            texts = _texts(data, events, session.prepared)
        except _Unfit as unfit:
            return Verdict(str(unfit))
        verdict = Verdict()
        for number, text in enumerate(dict.fromkeys(texts)):
            facts = self._facts(text)
            begins = number == 0 and facts.kinds == {"begin"} and facts.statements == 1
            obstacle = _beginning(facts, session) if begins else self._obstacle(facts, session.known)
            hint = facts.hint if facts.hint != Hint() else verdict.hint
            verdict = Verdict(obstacle, hint, begins=begins or verdict.begins)
            if obstacle:
                break
        return verdict

    def _facts(self, text: bytes) -> Facts:
        facts = self._reader.facts(text)
        return facts if self._hints or facts.hint == Hint() else replace(facts, hint=Hint())

    def _obstacle(self, facts: Facts, known: Known) -> str:
        obstacle = replica_obstacle(facts, known.volatility)
        if obstacle is not None or facts.hint.target == "replica":
            return obstacle or ""
        for name in facts.tables:
            if _SERVERS_OWN_TABLES.match(name):
                return f"{name} is of the server that is asked"
        for name in facts.functions:
            if _SERVERS_OWN_FUNCTIONS.fullmatch(name):
                return f"{name}() is of the server that is asked"
        match known.is_primarys(facts.tables) if facts.tables else False:
            case None:
                return "the database is not known yet"
            case True:
                return "it reads a sequence, or what replicas do not have"
            case False:
                return ""


def _beginning(facts: Facts, session: Reading) -> str:
    read_only = facts.read_only if facts.read_only is not None else session.read_only
    reasons = (
        (bool(facts.problem), f"it was not understood: {facts.problem}"),
        (facts.hint.target == "primary", "a comment asks for the primary"),
        (not read_only, "the transaction may write"),
        (facts.isolation == "serializable", "the transaction is serializable"),
    )
    return next((words for holds, words in reasons if holds), "")


class _Unfit(Exception):
    """The requests are of a kind that goes to the primary."""


def _texts(data: bytes, events: Sequence[Event], prepared: Prepared) -> list[bytes]:
    """The statements that are run or described. Raises _Unfit, ProtocolFault."""
    if not events or events[-1][0] not in _ENDS or events[-1][2] != len(data):
        raise _Unfit("it is not a whole request")
    fresh: dict[bytes, bytes] = {}
    texts = list[bytes]()
    for kind, start, end in events:
        if kind in _SILENT or (kind == Kind.DESCRIBE and data[start + 5] != _STATEMENT):
            continue  # of a portal, what was bound to it is looked at
        message = data[start:end]
        if kind == Kind.PARSE:
            parse = read_parse(message)
            fresh[parse.name] = text = parse.text
        else:
            text = _text(kind, message, fresh, prepared)
        texts.append(text)
    return texts


def _text(kind: int, message: bytes, fresh: Mapping[bytes, bytes], prepared: Prepared) -> bytes:
    match kind:
        case Kind.QUERY:
            return read_query(message)
        case Kind.BIND:
            name = read_bind(message)[1]
        case Kind.DESCRIBE:
            name = read_target(message)[1]
        case _:
            raise _Unfit("it is a request of another kind")
    text = fresh.get(name) or prepared(name)
    if text is None:
        raise _Unfit("it is of a statement that is not known")
    return text


def texts_of(data: bytes, events: Sequence[Event], prepared: Prepared) -> list[bytes]:
    """The statements of requests, as far as they are known. Raises ProtocolFault."""
    fresh: dict[bytes, bytes] = {}
    texts = list[bytes]()
    for kind, start, end in events:
        message = data[start:end]
        if kind == Kind.PARSE:
            parse = read_parse(message)
            fresh[parse.name] = parse.text
        elif kind == Kind.QUERY:
            texts.append(read_query(message))
        elif kind == Kind.BIND:
            name = read_bind(message)[1]
            texts.append(fresh.get(name) or prepared(name) or b"")
    return texts


def judge_of(
    judges: dict[tuple[bool, bool, bool], Judge], settings: Mapping[str, str], *, hints: bool
) -> Judge:
    """The judge of sessions with these settings, made when it is the first."""
    syntax = syntax_of(settings)
    key = syntax.usual_backslash, syntax.utf8, hints
    if key not in judges:
        judges[key] = Judge(Reader(syntax), hints=hints)
    return judges[key]


def syntax_of(settings: Mapping[str, str]) -> Syntax:
    """How a server reads the texts of a session in which it has reported these settings."""
    usual = settings.get("standard_conforming_strings", "on") == "on"
    utf8 = settings.get("client_encoding", "UTF8").upper() in {"UTF8", "UNICODE"}
    return Syntax(Dialect.POSTGRES, usual_backslash=usual, utf8=utf8)
