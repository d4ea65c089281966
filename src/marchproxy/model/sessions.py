"""Sessions: which of the routes of databases is the more precise one, and whether two could take the same session. Pure."""

from collections.abc import Iterator, Sequence

from marchproxy.model.database import DatabaseRoute
from marchproxy.model.glob import any_globs_meet
from marchproxy.model.network import networks_meet
from marchproxy.model.route import Route
from marchproxy.model.ties import Beginnings, first_ties, of_patterns, of_texts

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


def session_ties(group: Sequence[Route]) -> Iterator[tuple[Route, Route]]:
    """Each route with the first earlier one that could take one of its sessions; all of one protocol and precision."""
    return first_ties(group, _beginnings, sessions_meet)


def _beginnings(route: Route) -> Beginnings:
    options = route.database or _PLAIN
    return (
        *(of_patterns(getattr(options, key)) for key in _NAMES),
        of_texts(options.prefixes),
        of_texts([str(route.destination_port)] if route.destination_port else []),
    )


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
