"""Canary: one node is given a snapshot before others are, and what comes of it."""

import asyncio
from enum import Enum

from marchproxy.engines.envoy.xds.node import Node, expected_of
from marchproxy.engines.envoy.xds.publish import SnapshotRejected
from marchproxy.engines.envoy.xds.snapshot import Snapshot


class Outcome(Enum):
    """What a node that did not refuse a snapshot did."""

    ACCEPTED = "accepted"
    SILENT = "silent"
    GONE = "gone"


async def try_on(
    node: Node, snapshot: Snapshot, fallback: Snapshot | None, *, whole: bool, timeout: float
) -> Outcome:
    """Give `snapshot` to a connected node and wait up to `timeout` seconds. It is the node's target afterwards.

    `whole`: a node that asks for everything, as an Envoy does; one that does not has nothing to acknowledge of the
    rest. SnapshotRejected: it refused something, now or of these very resources before; `fallback` is its target then.
    """
    if (known := node.verdicts.rejection_of(snapshot)) is not None:
        raise SnapshotRejected(known)
    expected = expected_of(snapshot) if whole else {}
    node.attempt(snapshot, fallback)
    try:
        async with asyncio.timeout(timeout):
            await node.until(
                lambda: node.rejection is not None or not node.connected or node.holds(snapshot, expected)
            )
    except TimeoutError:
        pass
    if node.rejection is not None:
        raise SnapshotRejected(node.rejection)
    accepted = node.holds(snapshot, expected)
    outcome = Outcome.ACCEPTED if accepted else Outcome.SILENT if node.connected else Outcome.GONE
    node.aim(snapshot)
    return outcome
