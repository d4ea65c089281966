"""Welcome: lets a client in: the greeting, TLS, who it is, which route takes it, and whether the gate lets it pass."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from marchproxy.model.database import ReadTarget
from marchproxy.model.http import AuthenticationKind
from marchproxy.model.module import PoolName, Protocol
from marchproxy.modules.dblb.gate import Shut
from marchproxy.modules.dblb.mysql.cluster import Cluster
from marchproxy.modules.dblb.mysql.greeting import PasswordKey, Talk, authenticate, trust
from marchproxy.modules.dblb.mysql.inbox import Inbox
from marchproxy.modules.dblb.mysql.login import Credentials, LoginRefused
from marchproxy.modules.dblb.mysql.offer import Offer
from marchproxy.modules.dblb.mysql.reading import Readings, syntax_of
from marchproxy.modules.dblb.mysql.secrets import Secret
from marchproxy.modules.dblb.mysql.session import Session
from marchproxy.modules.dblb.mysql.visit import Visit, refusal_of
from marchproxy.modules.dblb.plan import DblbPlan, RoutePlan, Upstream, Who
from marchproxy.modules.dblb.serverside import pick
from marchproxy.modules.dblb.service import Surroundings
from marchproxy.modules.dblb.tally import TallyKey
from marchproxy.modules.reception.arrival import certificate_user
from marchproxy.wire.mysql.endings import Refusal
from marchproxy.wire.mysql.handshake import Greeting, Login
from marchproxy.wire.mysql.numbers import Capability
from marchproxy.wire.mysql.proofs import CACHING

_C = Capability
#: What must be the same on both sides, because it changes what is said afterwards.
_AGREED = (
    _C.LONG_PASSWORD | _C.FOUND_ROWS | _C.LONG_FLAG | _C.IGNORE_SPACE | _C.INTERACTIVE | _C.TRANSACTIONS
    | _C.MULTI_STATEMENTS | _C.MULTI_RESULTS | _C.PS_MULTI_RESULTS | _C.SESSION_TRACK | _C.DEPRECATE_EOF
)  # fmt: skip
#: What concerns nothing but logging in.
_ALWAYS = _C.PROTOCOL_41 | _C.SECURE_CONNECTION | _C.PLUGIN_AUTH | _C.PLUGIN_AUTH_LENENC
_OFFERED = _AGREED | _ALWAYS | _C.CONNECT_WITH_DB | _C.CONNECT_ATTRS


@dataclass(slots=True)
class House:
    """What there is to let clients into: the plan, its clusters by name, and what is known of users' secrets."""

    plan: DblbPlan
    clusters: Mapping[PoolName, Cluster]
    secrets: dict[tuple[str, str, str], Secret]
    """By the way's name, the user, and what the userlist says."""


class Welcome:
    """Lets clients into a house, which may change."""

    def __init__(self, around: Surroundings, house: House) -> None:
        self.house = house
        self._around = around
        self._key = PasswordKey()
        self._readings = Readings()
        self.offer = Offer()

    def talk(self, session: Session) -> Talk:
        """The words with a client that logs in."""
        assert isinstance(session.inbox, Inbox)
        return Talk(session.inbox, session.send, self._key, encrypted=session.encrypted)

    async def greeting(self, session: Session, nonce: bytes) -> Greeting:
        """What the servers say that a client can come to, with what both they and we can do."""
        routes = self.house.plan.of(Protocol.MYSQL)
        clusters = [self.house.clusters[name] for name in _names(routes, session.arrival.port)]
        if not clusters:
            raise LoginRefused("", Refusal(1045, "28000", "no route takes clients of this port"))
        known = await self.offer.of(clusters)
        tls = _C.SSL if session.arrival.tls is not None else 0
        capabilities = (_OFFERED & (known.capabilities | _C.LONG_PASSWORD)) | tls
        return replace(
            known, thread=session.number, nonce=nonce, capabilities=int(capabilities), plugin=CACHING
        )

    async def admit(self, session: Session, talk: Talk, login: Login, nonce: bytes) -> Visit:
        """Who the client is, proven. Raises LoginRefused, NotProven, ProtocolFault, PeerGone."""
        arrival = session.arrival
        session.login = replace(login, proof=b"")
        if arrival.tls is not None and arrival.tls.required and not session.encrypted:
            raise LoginRefused("", Refusal(3159, "08004", "connections must be encrypted by TLS here"))
        who = Who(login.user, login.database, login.program, arrival.client.host, arrival.port)
        plan = self.house.plan.route(Protocol.MYSQL, who)
        if plan is None:
            raise LoginRefused(
                "", Refusal(1045, "28000", f"no route takes the user '{login.user}' to this database")
            )
        password = await self._prove(session, plan, talk, login, nonce)
        now = self.house.plan.route(Protocol.MYSQL, who)
        if now is None or now.route_id != plan.route_id:
            raise LoginRefused("", Refusal(1053, "08S01", "the routes have changed; log in again"))
        return self._visit(now, who, login, password)

    async def _prove(
        self, session: Session, plan: RoutePlan, talk: Talk, login: Login, nonce: bytes
    ) -> str | None:
        """The password with which the client has proven who it is, where that is known."""
        if not plan.ways or _has_certificate(session, plan):
            trust(talk, login)
            return None
        found = next(self._found(plan, login.user), None)
        secret, method = found if found is not None else (None, CACHING)
        if secret is not None and not secret.takes(method):
            words = f"what is kept of the password of '{login.user}' is not for {method}"
            raise LoginRefused("", Refusal(1251, "08004", words))
        await authenticate(talk, login, secret, method, nonce)
        return secret.password if secret is not None else None

    def _found(self, plan: RoutePlan, user: str) -> Iterator[tuple[Secret, str]]:
        for way in plan.ways:
            if way.authentication.kind is AuthenticationKind.USERLIST and user in way.secrets:
                text = way.secrets[user]
                secret = self.house.secrets.setdefault((way.name, user, text), Secret(text))
                yield secret, way.authentication.method or secret.method

    def _visit(self, plan: RoutePlan, who: Who, login: Login, password: str | None) -> Visit:
        upstream = plan.writes or pick(plan.backends, random.random())  # noqa: S311 - no secret
        if upstream is None:
            raise LoginRefused("", Refusal(2003, "HY000", "the route has no pool"))
        options = plan.options
        capabilities = (login.capabilities & _AGREED) | _ALWAYS | _C.LONG_PASSWORD
        known = upstream.passwords.get(who.user)
        credentials = Credentials(
            who.user,
            options.rename if options.rename and who.database else who.database,
            login.charset,
            int(capabilities),
            known if known is not None else password or "",
        )
        cluster = self.house.clusters[upstream.name]
        tally = self._around.tallies.of(
            TallyKey("mysql", plan.route_id, upstream.name, who.database, who.user)
        )
        reads = self._reads(plan, upstream)
        try:
            guard = self._around.gate.enter(plan, who, tally)
        except Shut as shut:
            raise LoginRefused("", refusal_of(shut.refusal)) from shut
        odd = any(member.sight.odd for member in cluster.members.values())
        guard.reads(syntax_of(login.charset, odd=odd))
        tally.clients += 1
        visit = Visit(plan, who, guard, tally, cluster, credentials, self._around, reads)
        visit.pools = {str(up.name): self.house.clusters[up.name] for up, _ in plan.backends}
        visit.replica = options.target is ReadTarget.REPLICA
        if reads is not None or visit.replica or len(cluster.members) > 1 or options.writes:
            visit.readings = self._readings
        return visit

    def _reads(self, plan: RoutePlan, writes: Upstream) -> Cluster | None:
        """Whose replicas answer reads, if reads are split."""
        if not plan.options.split_reads or plan.options.target is not ReadTarget.AUTO:
            return None
        upstream = pick(plan.backends, random.random()) if plan.options.writes else writes  # noqa: S311 - no secret
        return self.house.clusters[upstream.name] if upstream is not None else None


def _has_certificate(session: Session, plan: RoutePlan) -> bool:
    """Whether the client has shown a certificate of the user that it says it is, and the route takes that."""
    if not plan.certificates:
        return False
    return certificate_user(session.transport.get_extra_info("peercert")) == session.login.user != ""


def _names(routes: Sequence[RoutePlan], port: int) -> list[PoolName]:
    """The pools that a client of a port can come to, the likeliest first."""
    ports = (route for route in routes if route.route.destination_port in {0, port})
    return list(dict.fromkeys(upstream.name for route in ports for upstream, _ in route.backends))
