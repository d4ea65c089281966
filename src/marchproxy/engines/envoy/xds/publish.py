"""Publishing: brings one node to a new snapshot stage by stage, and back to the last good one when it refuses."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from marchproxy.engines.envoy.xds import store as files
from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.node import Node, expected_of
from marchproxy.engines.envoy.xds.server import AdsServer
from marchproxy.engines.envoy.xds.snapshot import EMPTY, Snapshot, clusters_to_warm, transition
from marchproxy.engines.envoy.xds.verdicts import Rejection
from marchproxy.kit.logs import get_logger
from marchproxy.kit.telemetry import spanned

_log = get_logger(__name__)

_RETURN_SECONDS = 2.0  # how long a refused publish waits until the last good snapshot is acknowledged again


class SnapshotRejected(Exception):
    """The node refused resources; it holds the last good snapshot. `message` is its own text."""

    def __init__(self, rejection: Rejection) -> None:
        self.type: ResourceType = rejection.type
        self.names: tuple[str, ...] = rejection.names
        self.message: str = rejection.message
        super().__init__(f"{self.type.name.lower()} {', '.join(self.names)}: {self.message}")


class PublishTimeout(Exception):
    """The node did not answer in time; the last good snapshot is what it should hold."""


class Publisher:
    """Publishes to one node. The only writer of its target; publishes run one after the other.

    `warmed` is awaited after each stage that adds or changes clusters, on top of Envoy's acknowledgement (which Envoy
    itself gives when clusters are warm, except while it starts). `store` is where the last good snapshot is kept.
    """

    def __init__(
        self,
        server: AdsServer,
        node_id: str,
        *,
        warmed: Callable[[], Awaitable[None]] | None = None,
        store: Path | None = None,
    ) -> None:
        self._node: Node = server.node(node_id)
        self._warmed = warmed
        self._store = store
        self._lock = asyncio.Lock()
        self._last_good: Snapshot | None = None

    @property
    def current(self) -> Snapshot:
        """The last good snapshot; EMPTY before there was one."""
        return EMPTY if self._last_good is None else self._last_good

    def resume(self, snapshot: Snapshot) -> None:
        """Take `snapshot` as the last good one and serve it, without waiting: for the start of a process."""
        _require_checked(snapshot)
        self._last_good = snapshot
        self._node.aim(snapshot)

    @spanned("publish")
    async def publish(self, snapshot: Snapshot, *, timeout: float = 5.0, retry: bool = False) -> None:
        """Return when the node acknowledged all of `snapshot`; otherwise it is led back to the last good one.

        SnapshotRejected: it refused something; at once, without asking it again, when it refused these very resources
        before, unless `retry`. PublishTimeout: no answer within `timeout` seconds (waiting for one's turn included).
        Cancelled: the last good snapshot is what the node should hold.
        """
        _require_checked(snapshot)
        deadline = asyncio.get_running_loop().time() + timeout
        await self._take_turn(deadline)
        try:
            await self._publish(snapshot, deadline, retry=retry)
            self._save(snapshot)
        finally:
            self._lock.release()

    async def _take_turn(self, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._lock.acquire()
        except TimeoutError:
            raise PublishTimeout(
                f"node {self._node.node_id!r}: an earlier publish is still under way"
            ) from None

    async def _publish(self, snapshot: Snapshot, deadline: float, *, retry: bool) -> None:
        if retry:
            self._node.verdicts.pardon(snapshot)
        elif (known := self._node.verdicts.rejection_of(snapshot)) is not None:
            raise SnapshotRejected(known)
        try:
            async with asyncio.timeout_at(deadline):
                await self._deliver_in_stages(snapshot)
        except SnapshotRejected:
            await self._return()
            raise
        except TimeoutError:
            reason = self._why_stuck()
            self._node.aim(self._last_good)
            raise PublishTimeout(f"node {self._node.node_id!r}: {reason}") from None
        except BaseException:
            self._node.aim(self._last_good)
            raise
        self.resume(snapshot)

    async def _deliver_in_stages(self, snapshot: Snapshot) -> None:
        # Nothing is known about what a node holds that was never published to: no stage may take something away.
        stages = () if self._last_good is None else transition(self._last_good, snapshot)
        before = self.current
        for stage in stages or (snapshot,):
            await self._deliver(stage)
            if self._warmed is not None and clusters_to_warm(before, stage):
                await self._warmed()
            before = stage

    async def _deliver(self, stage: Snapshot) -> None:
        node, expected = self._node, expected_of(stage)
        node.attempt(stage, fallback=self._last_good)
        await node.until(lambda: node.rejection is not None or node.holds(stage, expected))
        if node.rejection is not None:
            raise SnapshotRejected(node.rejection)

    async def _return(self) -> None:
        """Wait until the node, which was led back at the moment it refused, acknowledged the last good snapshot."""
        node, last_good = self._node, self._last_good
        if last_good is None:
            return
        expected = expected_of(last_good)
        try:
            async with asyncio.timeout(_RETURN_SECONDS):
                await node.until(lambda: node.holds(last_good, expected))
        except TimeoutError:
            _log.warning("xds: the last good snapshot is not acknowledged again yet", node=self._node.node_id)

    def _why_stuck(self) -> str:
        if not self._node.connected:
            return "no Envoy is connected"
        waiting = ", ".join(kind.name.lower() for kind in self._node.pending())
        return (
            f"not acknowledged in time: {waiting}"
            if waiting
            else "clusters did not get warm, or were not asked for"
        )

    def _save(self, snapshot: Snapshot) -> None:
        if self._store is None:
            return
        try:
            files.save(self._store, snapshot)
        except OSError as error:  # Envoy has it: the publish stands
            _log.error("xds: the snapshot could not be stored", file=str(self._store), reason=str(error))


def load(store: Path) -> Snapshot | None:
    """The snapshot stored by the last successful publish, or None."""
    return files.load(store)


def _require_checked(snapshot: Snapshot) -> None:
    if not isinstance(snapshot, Snapshot):
        raise TypeError("only a checked Snapshot is published")
