"""Proving: which of a route's ways a client takes to show who it is. Nobody learns from it which users or routes there are."""

from collections.abc import Awaitable, Callable

from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.modules.dblb.plan import RoutePlan
from marchproxy.modules.dblb.postgres.admission import TurnedAway
from marchproxy.modules.dblb.postgres.doorway import Doorway
from marchproxy.modules.dblb.postgres.greeting import Way, authenticate
from marchproxy.modules.dblb.postgres.inbox import Inbox
from marchproxy.modules.dblb.postgres.login import Proof
from marchproxy.modules.dblb.postgres.secrets import Secret, secret_of

#: How a password is asked for, by what a document calls that; empty: SCRAM, or MD5 where there is but an MD5 hash.
_METHODS = {
    "": Way.SCRAM,
    "scram-sha-256": Way.SCRAM,
    "md5": Way.MD5,
    "password": Way.PASSWORD,
}
#: The secret of a user, by a way that asks a server; None: there is no such user. Raises TurnedAway.
LookUp = Callable[[Authentication, str], Awaitable[str | None]]


async def prove(door: Doorway, inbox: Inbox, user: str, route: RoutePlan | None, look_up: LookUp) -> Proof:
    """What proves to servers that the client is `user`; empty: nothing that is known.

    Raises NotProven, TurnedAway, ProtocolFault, PeerGone. The caller sets the deadline.
    """
    send = door.transport.write
    if route is None:
        return await authenticate(inbox, send, user, None, Way.SCRAM)
    ways = route.ways
    if not ways:
        return ""
    if user == door.certificate_user and route.certificates:
        return ""
    method, text = "", None
    for way in ways:
        authentication = way.authentication
        if authentication.kind is AuthenticationKind.CERTIFICATE:
            continue
        method = authentication.method
        if authentication.kind is AuthenticationKind.USERLIST:
            text = way.secrets.get(user)
        elif authentication.kind is AuthenticationKind.AUTH_QUERY:
            text = await look_up(authentication, user)
        if text is not None:
            break
    secret = secret_of(text) if text else None
    return await authenticate(inbox, send, user, secret, _way(method, secret, door))


def renewed(proof: Proof, user: str, before: RoutePlan, now: RoutePlan) -> Proof:
    """What proves to servers that a client is `user`, who came while the plan was another: what a userlist says now, where it
    was what that said before. What only the client has shown stays as it is."""
    old, new = before.secret(user), now.secret(user)
    if not (proof and old and new) or proof != secret_of(old).password:
        return proof
    return secret_of(new).password or proof


def _way(method: str, secret: Secret | None, door: Doorway) -> Way:
    way = _METHODS.get(method, Way.SCRAM)
    if way is Way.PASSWORD:
        if not door.encrypted:
            raise TurnedAway(
                "passwords are sent in the clear here, which needs TLS: set sslmode=require", "28000"
            )
        return way
    if secret is None:
        return way
    if secret.is_md5:
        return Way.MD5
    return Way.SCRAM if secret.is_verifier else way
