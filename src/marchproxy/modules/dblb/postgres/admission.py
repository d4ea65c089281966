"""Admission: how a client is let in: its route, who it shows that it is, its pool, and what it begins with."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

from marchproxy.model.module import Protocol
from marchproxy.modules.dblb.gate import Shut
from marchproxy.modules.dblb.plan import DblbPlan, RoutePlan, Upstream, Who
from marchproxy.modules.dblb.postgres.doorway import Doorway
from marchproxy.modules.dblb.postgres.pinning import followed_name, unfollowed
from marchproxy.modules.dblb.postgres.roles import Beginning
from marchproxy.modules.dblb.postgres.settling import Settings
from marchproxy.modules.dblb.serverside import pick
from marchproxy.wire.postgres.startup import Startup

#: What a startup message has besides settings.
_NO_SETTINGS = frozenset({"user", "database", "options", "replication"})
_OPTION = re.compile(r"(?:-c\s*|--)([^=\s]+)=((?:[^\s\\]|\\.)*)\s*", re.DOTALL)


class TurnedAway(Exception):
    """A client is not let in; with the SQLSTATE that it is told."""

    def __init__(self, words: str, code: str) -> None:
        super().__init__(words)
        self.code = code


def who_of(startup: Startup, door: Doorway) -> Who:
    """Who the client says it is."""
    words = startup.parameters
    user = words["user"]
    return Who(
        user=user,
        database=words.get("database") or user,
        application=words.get("application_name", ""),
        address=door.arrival.client.host,
        port=door.arrival.port,
    )


def check(startup: Startup, door: Doorway) -> None:
    """Raises TurnedAway where nobody could be let in like this."""
    tls = door.arrival.tls
    if tls is not None and tls.required and not door.encrypted:
        raise TurnedAway("connections here must be encrypted: set sslmode=require or higher", "28000")
    if startup.parameters.get("replication", "false").lower() not in {"false", "off", "no", "0"}:
        raise TurnedAway("replication connections are not passed on; connect to the server itself", "0A000")


def route_of(plan: DblbPlan, who: Who) -> RoutePlan | None:
    """The route of a client."""
    return plan.route(Protocol.POSTGRES, who)


def upstream_of(route: RoutePlan, before: Upstream | None = None) -> Upstream | None:
    """The pool for the sessions of a client on a route; the one that it had `before`, where that may still be."""
    if route.writes is not None:
        return route.writes
    if before is not None:
        same = next((upstream for upstream, _ in route.backends if upstream.name == before.name), None)
        if same is not None:
            return same
    return pick(route.backends, random.random())  # noqa: S311 - shares, not secrets


@dataclass(frozen=True, slots=True)
class Start:
    """What a session begins with, and what the client is told of it."""

    told: Mapping[str, str]
    beginning: Beginning


def start_of(startup: Startup, reported: Mapping[str, str], *, longest: int) -> Start:
    """What a client asks for, before servers that report this. Raises TurnedAway."""
    asked = {name: value for name, value in startup.parameters.items() if name not in _NO_SETTINGS}
    asked.update(_options(startup.parameters.get("options", "")))
    extras = unfollowed(asked, reported)
    following = {
        known: _as_reported(known, value)
        for name, value in asked.items()
        if name not in extras and (known := followed_name(name)) is not None
    }
    told = {**reported, **following}
    return Start(told, Beginning(Settings().as_reported(told), extras, longest))


def _as_reported(name: str, value: str) -> str:
    """A value as servers would write it, where clients write it in many ways."""
    if name == "client_encoding" and re.sub(r"\W", "", value).upper() in {"UTF8", "UNICODE"}:
        return "UTF8"
    return value


def _options(words: str) -> dict[str, str]:
    """The settings of `options`, which are arguments of a command line. Raises TurnedAway."""
    found, at = dict[str, str](), 0
    words = words.strip()
    while at < len(words):
        option = _OPTION.match(words, at)
        if option is None:
            raise TurnedAway(f"options are understood as -c name=value only, not {words[at:]!r}", "0A000")
        found[option[1].replace("-", "_")] = re.sub(r"\\(.)", r"\1", option[2])
        at = option.end()
    return found


def shut_code(shut: Shut) -> str:
    """The SQLSTATE of who is not let in."""
    return "53300" if shut.refusal.retry_after or shut.refusal.kind.value == "limited" else "42501"
