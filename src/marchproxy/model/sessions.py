"""Sessions: which of the routes of databases is the more precise one, and whether two could take the same session. Pure."""

from collections.abc import Mapping

from marchproxy.model.database import DatabaseRoute
from marchproxy.model.glob import any_globs_meet, is_glob
from marchproxy.model.network import networks_meet
from marchproxy.model.route import Route

_PLAIN = DatabaseRoute()
_NAMES = ("databases", "users", "applications")


def precision(route: Route) -> tuple[int, int]:
    """What goes first among the routes that take a session: the priority, then how many conditions there are."""
    options = route.database or _PLAIN
    named = (
        options.databases,
        options.users,
        options.applications,
        route.sources,
        route.destination_port,
    )
    return route.priority, sum(map(bool, named))


def session_traits(route: Route) -> Mapping[object, object]:
    """What tells routes apart: two that have different values of one trait never take the same session."""
    options = route.database or _PLAIN
    lists = ((key, getattr(options, key)) for key in _NAMES)
    traits: dict[object, object] = {
        key: names[0] for key, names in lists if len(names) == 1 and not is_glob(names[0])
    }
    if route.destination_port:
        traits["port"] = route.destination_port
    if len(options.prefixes) == 1:
        traits["prefix"] = options.prefixes[0]
    return traits


def sessions_meet(first: Route, second: Route) -> bool:
    """Whether one session could be either's, of two routes of one protocol.

    NLB listeners do not count, for a DBLB does not know them. Of prefixes of Redis' keys the longest takes a key.
    """
    one, other = first.database or _PLAIN, second.database or _PLAIN
    ports = {first.destination_port, second.destination_port}
    return (
        (0 in ports or len(ports) == 1)
        and networks_meet(first.sources, second.sources)
        and bool(one.prefixes) == bool(other.prefixes)
        and (not one.prefixes or not set(one.prefixes).isdisjoint(other.prefixes))
        and all(any_globs_meet(getattr(one, key), getattr(other, key)) for key in _NAMES)
    )
