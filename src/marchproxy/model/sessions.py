"""Sessions: which of the routes of databases is the more precise one, and whether two could take the same session. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from marchproxy.model.database import DatabaseRoute
from marchproxy.model.glob import any_globs_meet, is_glob, literal_beginning
from marchproxy.model.network import networks_meet
from marchproxy.model.route import Route

_PLAIN = DatabaseRoute()
_NAMES = ("databases", "users", "applications")
_KINDS = len(_NAMES) + 2  # prefixes and ports


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
    """Each route with the first earlier one that could take one of its sessions; all of one protocol and precision.

    Only routes that begin alike, in what tells most of them apart, are compared.
    """
    keys = [_keys(route) for route in group]
    telling = max(range(_KINDS), key=lambda kind: len({key for own in keys for key in own[kind]}))
    index = _Index()
    for number, route in enumerate(group):
        own = keys[number][telling]
        rivals = sorted(index.rivals(own))
        first = next((group[rival] for rival in rivals if sessions_meet(group[rival], route)), None)
        if first is not None:
            yield first, route
        index.add(own, number)


class _Index:
    """Which of the texts that are known begin as others do."""

    def __init__(self) -> None:
        self._whole: dict[str, list[int]] = defaultdict(list)
        self._heads: dict[str, list[int]] = defaultdict(list)

    def add(self, keys: Sequence[str], number: int) -> None:
        for key in keys:
            self._whole[key].append(number)
            for length in range(len(key) + 1):
                self._heads[key[:length]].append(number)

    def rivals(self, keys: Sequence[str]) -> set[int]:
        """Of each one that is the beginning of one of `keys`, or begins with one."""
        found: set[int] = set()
        for key in keys:
            found.update(self._heads.get(key, ()))
            for length in range(len(key)):
                found.update(self._whole.get(key[:length], ()))
        return found


def _keys(route: Route) -> tuple[Sequence[str], ...]:
    """For each kind of condition what its values begin with: a plain one with all of it and an end."""
    options = route.database or _PLAIN
    port = str(route.destination_port) if route.destination_port else ""
    return (
        *([_beginning(name) for name in getattr(options, key)] or [""] for key in _NAMES),
        [f"{prefix}\0" for prefix in options.prefixes] or [""],
        [f"{port}\0"] if port else [""],
    )


def _beginning(pattern: str) -> str:
    return literal_beginning(pattern) if is_glob(pattern) else f"{pattern}\0"


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
