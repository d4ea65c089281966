"""Moving: a session's own connection from one server to another, and telling that one what the session has set."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from marchproxy.modules.dblb.inbox import PeerGone
from marchproxy.modules.dblb.mysql.asking import ask
from marchproxy.modules.dblb.mysql.cluster import Cluster
from marchproxy.modules.dblb.mysql.link import Link
from marchproxy.modules.dblb.mysql.memory import Memory
from marchproxy.modules.dblb.mysql.secrets import Secret
from marchproxy.modules.dblb.mysql.visit import Visit
from marchproxy.modules.dblb.plan import RoutePlan
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.endings import Refusal
from marchproxy.wire.mysql.results import Refused

if TYPE_CHECKING:
    from marchproxy.modules.dblb.mysql.session import Session


def move(session: "Session", cluster: Cluster) -> bool:
    """Have a session that rests go on in this cluster, as it is now; False: its connection cannot be given up."""
    visit, link = session.visit, session.link
    if link is not None and not cluster.is_right(link, replica=visit.replica):
        if session.orders.bound(link):
            return False
        session.release()
    if cluster is not visit.cluster:
        known = cluster.upstream.passwords.get(visit.who.user, visit.credentials.password)
        visit.cluster, visit.credentials = cluster, replace(visit.credentials, password=known)
    return True


def renew(visit: Visit, now: RoutePlan) -> None:
    """Have a client's connections be opened with the password that a userlist says now, where it was what that said before."""
    user, known = visit.who.user, visit.credentials.password
    old, new = visit.plan.secret(user), now.secret(user)
    if not old or not new or user in visit.cluster.upstream.passwords or Secret(old).password != known:
        return
    visit.credentials = replace(visit.credentials, password=Secret(new).password or known)


async def tell(session: "Session", link: Link, memory: Memory, done: Callable[[], None]) -> None:
    """Tell a session's new link what it lacks; the session goes on then, or ends because it cannot be made as it was."""
    try:
        async with asyncio.timeout(session.visit.cluster.upstream.options.wait):
            for text in list(memory.since(link.told)):
                await ask(link, text)
    except (Refused, ProtocolFault, PeerGone, TimeoutError) as error:
        session.end(Refusal(1053, "08S01", f"the session cannot go on elsewhere: {error}"), sequence=1)
        return
    finally:
        done()
    link.told = memory.version
    session.go_on()
