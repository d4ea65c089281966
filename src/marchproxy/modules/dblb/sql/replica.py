"""May a statement be answered by a replica? Pure: what a replica has replayed, and how far behind it is, others know."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from marchproxy.modules.dblb.sql.facts import Facts


class Volatility(Enum):
    """PostgreSQL's pg_proc.provolatile."""

    IMMUTABLE = "i"
    STABLE = "s"
    VOLATILE = "v"


VolatilityOf = Callable[[str], Volatility | None]
"""What is known of a function, by its name in lower case; None: nothing."""

_SESSION_FUNCTIONS = frozenset(
    {
        "currval",
        "found_rows",
        "get_lock",
        "is_free_lock",
        "is_used_lock",
        "last_insert_id",
        "lastval",
        "nextval",
        "release_all_locks",
        "release_lock",
        "row_count",
        "set_config",
        "setval",
    }
)


@dataclass(frozen=True, slots=True)
class Standing:
    """The transaction in which a statement comes."""

    open: bool = False
    read_only: bool = False
    bound: bool = False
    """It has a server already."""
    isolation: str = ""


AUTOCOMMIT = Standing()


def replica_obstacle(
    facts: Facts, volatility: VolatilityOf, *, standing: Standing = AUTOCOMMIT
) -> str | None:
    """Why the statement must go to the primary; None when a replica that is recent enough may answer it.

    A hint for a replica vouches for the functions, and for nothing else. The replica's lag and the client's own writes
    are for the caller to look at.
    """
    return _by_standing(standing) or _by_facts(facts) or _by_functions(facts, volatility)


def _by_standing(standing: Standing) -> str | None:
    if standing.isolation == "serializable":
        return "the transaction is serializable"
    if not standing.open:
        return None
    if standing.bound:
        return "the transaction has a server already"
    return None if standing.read_only else "the transaction may write"


def _by_facts(facts: Facts) -> str | None:
    reasons = (
        (facts.hint.target == "primary", "a comment asks for the primary"),
        (bool(facts.problem), f"it was not understood: {facts.problem}"),
        (facts.statements != 1, f"it is {facts.statements} statements"),
        (facts.kinds != {"select"}, "it is not a plain SELECT"),
        (facts.writes, "it writes"),
        (facts.locks, "it locks rows"),
        (bool(facts.pins), f"it holds what is the session's: {', '.join(sorted(facts.pins))}"),
        (bool(facts.settings), "it changes a setting"),
    )
    return next((words for holds, words in reasons if holds), None)


def _by_functions(facts: Facts, volatility: VolatilityOf) -> str | None:
    for name in sorted(facts.functions):
        word = name.rpartition(".")[2]
        if word in _SESSION_FUNCTIONS or "advisory" in word:
            return f"{name}() is the session's own, or writes"
        if facts.hint.target == "replica":
            continue
        match volatility(name):
            case None:
                return f"whether {name}() is volatile is not known"
            case Volatility.VOLATILE:
                return f"{name}() is volatile"
            case _:
                pass
    return None
