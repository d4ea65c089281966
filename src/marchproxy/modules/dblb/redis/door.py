"""Door: who may come in at one port from one address, and which route takes whom, by the plan. Pure.

A client is on the route of its user and its database. What it showed at AUTH is kept as the names of the ways that it
showed it by, because the route of another database may want another one.
"""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass

from marchproxy.model.module import Protocol
from marchproxy.modules.dblb.plan import DblbPlan, RoutePlan, Way, Who
from marchproxy.modules.dblb.redis.local import DATABASES, Identity

#: Who is not asked for a name has this one, as on servers.
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Door:
    """A House, as the plan has it for one address and port. `certificate_user`: whom the client's certificate is for."""

    plan: DblbPlan
    address: str
    port: int
    certificate_user: str = ""

    def who(self, identity: Identity) -> Who:
        """The client as the plan knows it."""
        name = identity.name.decode(errors="replace")
        return Who(identity.user or "", str(identity.database), name, self.address, self.port)

    def route(self, identity: Identity) -> RoutePlan | None:
        """The route that takes it, if it has shown what that route wants."""
        if identity.user is None:
            return None
        found = self.plan.route(Protocol.REDIS, self.who(identity))
        return found if found is not None and found.lets_in(identity.proofs) else None

    def newcomer(self, number: int) -> Identity:
        """See House."""
        user = self.certificate_user or DEFAULT
        routes = list(self._candidates(user))
        ways = frozenset().union(*(route.certificates for route in routes if self.certificate_user))
        if any(not route.ways or ways for route in routes):
            return Identity(user, number=number, proofs=ways)
        return Identity(number=number)

    def proofs(self, user: str, password: bytes) -> frozenset[str] | None:
        """See House."""
        routes = list(self._candidates(user))
        asked = [way for route in routes for way in route.ways]
        if not routes:
            return None
        fitting = frozenset(way.name for way in asked if _fits(way, user, password))
        return fitting if fitting or not asked else None

    def takes(self, identity: Identity) -> bool:
        """See House."""
        return self.route(identity) is not None

    def _candidates(self, user: str) -> Iterator[RoutePlan]:
        """The routes that take a user to some database."""
        for number in range(DATABASES):
            found = self.plan.route(Protocol.REDIS, self.who(Identity(user, number)))
            if found is not None:
                yield found


def _fits(way: Way, user: str, password: bytes) -> bool:
    secret = way.secrets.get(user)
    if secret is None:
        return False
    if secret.startswith("#"):  # as ACL SETUSER takes a password that it is not to know
        return hmac.compare_digest(hashlib.sha256(password).hexdigest(), secret[1:].lower())
    return hmac.compare_digest(password, secret.encode())
