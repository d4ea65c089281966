"""Door: which route takes a client to a database, and what it must show for that, by the plan. Pure.

A client says who it is once, and asks for many databases. What it has shown is kept as the names of the ways whose userlists
have that secret for it; each database's route then says which of them it wants.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from marchproxy.model.module import Protocol
from marchproxy.modules.dblb.plan import DblbPlan, RoutePlan, Who
from marchproxy.modules.dblb.scram import Verifier
from marchproxy.modules.dblb.verifiers import MONGODB, is_verifier, read_verifier


@dataclass(frozen=True, slots=True)
class Known:
    """A user: what shows who it is, its password where that is known, and the ways that this is enough for."""

    verifier: Verifier = field(repr=False)
    password: str = field(repr=False)
    proofs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Door:
    """One address, port and application. `certificate_user`: whom the client's certificate is for."""

    plan: DblbPlan
    address: str
    port: int
    certificate_user: str = ""
    application: str = ""

    def who(self, user: str, database: str) -> Who:
        """The client as the plan knows it."""
        return Who(user, database, self.application, self.address, self.port)

    def route(self, user: str, database: str, proofs: frozenset[str]) -> RoutePlan | None:
        """The route to a database, if the client has shown what that route wants."""
        found = self.plan.route(Protocol.MONGODB, self.who(user, database))
        return found if found is not None and found.lets_in(proofs) else None

    def some_route(self, user: str, proofs: frozenset[str]) -> RoutePlan | None:
        """The first route that takes the client to some database."""
        return next((route for route in self._candidates(user) if route.lets_in(proofs)), None)

    def known(self, user: str) -> Known | None:
        """What shows that a client is that user; None: there is no such user."""
        for route in self._candidates(user):
            for way in route.ways:
                if (text := way.secrets.get(user)) is not None:
                    password = "" if is_verifier(text) else text
                    return Known(_verifier_of(text), password, self._ways_with(user, text))
        return None

    def certified(self) -> frozenset[str]:
        """The ways that the client's certificate is enough for."""
        if not self.certificate_user:
            return frozenset()
        return frozenset().union(*(route.certificates for route in self._candidates(self.certificate_user)))

    def open(self) -> bool:
        """Whether there is something for a client that does not say who it is."""
        return any(not route.ways for route in self._candidates(""))

    def _ways_with(self, user: str, text: str) -> frozenset[str]:
        ways = (way for route in self._candidates(user) for way in route.ways)
        return frozenset(way.name for way in ways if way.secrets.get(user) == text)

    def _candidates(self, user: str) -> Iterator[RoutePlan]:
        """The routes that take a user to some database."""
        who = self.who(user, "")
        for route in self.plan.of(Protocol.MONGODB):
            if replace(route, options=replace(route.options, databases=())).takes(who):
                yield route


@lru_cache(maxsize=4096)
def _verifier_of(text: str) -> Verifier:
    """A secret of a userlist as SCRAM-SHA-256 needs it: a password, or a verifier. Takes 10 ms for a password, once."""
    return read_verifier(text) or MONGODB.verifier(text)
