"""Offer: what clients are told that the servers can do, before anybody knows to which of them a client will go."""

import asyncio
from collections.abc import Sequence

from marchproxy.kit.logs import get_logger
from marchproxy.modules.dblb.inbox import PeerGone
from marchproxy.modules.dblb.mysql.cluster import Cluster
from marchproxy.modules.dblb.mysql.dialling import Server, learn
from marchproxy.modules.dblb.mysql.login import LoginRefused
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.handshake import Greeting

_log = get_logger(__name__)
_SECONDS = 2.0
_FAULTS = (LoginRefused, ProtocolFault, PeerGone, OSError, TimeoutError)


class Offer:
    """Each server's greeting, learnt once, and again when a server turns out to be able to do less."""

    def __init__(self) -> None:
        self._known: dict[Server, Greeting] = {}
        self._failure: Exception = LoginRefused("no server is known")
        self._learning = asyncio.Lock()

    async def of(self, clusters: Sequence[Cluster]) -> Greeting:
        """What all servers can do that have answered. Raises LoginRefused, ProtocolFault, PeerGone, OSError."""
        servers = [member.server for cluster in clusters for member in cluster.members.values()]
        for cluster in clusters:
            if cluster.lacking:
                cluster.lacking = False
                for address in cluster.members:
                    self._known.pop(cluster.members[address].server, None)
        if not any(server in self._known for server in servers):
            async with self._learning:
                await self._learn(servers)
        known = [self._known[server] for server in servers if server in self._known]
        if not known:
            raise self._failure
        return _common(known)

    async def learn(self, clusters: Sequence[Cluster]) -> None:
        """Ask the servers that are not known yet."""
        servers = [member.server for cluster in clusters for member in cluster.members.values()]
        async with self._learning:
            await self._learn(servers)

    async def _learn(self, servers: Sequence[Server]) -> None:
        async with asyncio.TaskGroup() as group:
            for server in servers:
                if server not in self._known:
                    group.create_task(self._ask(server), name=f"learn {server.address}")

    async def _ask(self, server: Server) -> None:
        try:
            self._known[server] = await learn(server, within=_SECONDS)
        except _FAULTS as error:
            self._failure = error
            _log.info("a server does not greet", address=str(server.address), reason=str(error))


def _common(known: Sequence[Greeting]) -> Greeting:
    capabilities = known[0].capabilities
    for greeting in known[1:]:
        capabilities &= greeting.capabilities
    first = known[0]
    return Greeting(first.version, 0, first.nonce, capabilities, first.charset, first.status, first.plugin)
