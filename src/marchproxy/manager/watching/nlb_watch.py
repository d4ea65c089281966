"""The watch of one NLB: asks it on a beat and keeps what it told last."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from marchproxy.contract.fleet.client import CallFailed, Client
from marchproxy.contract.pb import module_pb2, nlb_pb2
from marchproxy.kit.clock import Clock
from marchproxy.manager.watching.findings import TRAFFIC, NlbFinding, read_promotions, read_traffic

if TYPE_CHECKING:
    from marchproxy.contract.pb.nlb_pb2_grpc import NLBServiceAsyncStub

CALL_SECONDS = 2.0
"""How long an answer may take."""


class NlbWatch:
    """What one NLB tells. `finding` is always there; a look that fails leaves it as it was, and says why."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self.finding = NlbFinding(client.nlb_address)

    async def look(self) -> None:
        """Ask for everything once; takes about twice CALL_SECONDS at most."""
        try:
            async with asyncio.timeout(2 * CALL_SECONDS):
                await self._look()
        except (CallFailed, TimeoutError) as error:
            words = str(error) or f"{self.finding.address} did not answer in time"
            self.finding = replace(self.finding, failure=words)

    async def _look(self) -> None:
        wanted = nlb_pb2.GetNLBStatusRequest(include_modules=True)
        metrics = nlb_pb2.StreamNLBMetricsRequest(interval_seconds=60, metric_names=TRAFFIC)
        versions = module_pb2.GetActiveVersionRequest()
        status = await self._client.nlb(
            lambda stub, left: stub.GetNLBStatus(wanted, timeout=left), timeout=CALL_SECONDS
        )
        newest = await self._client.nlb(lambda stub, left: _first(stub, metrics, left), timeout=CALL_SECONDS)
        rollouts = await self._client.nlb_versions(
            lambda stub, left: stub.GetActiveVersion(versions, timeout=left), timeout=CALL_SECONDS
        )
        before = self.finding
        self.finding = replace(
            before,
            status=status,
            traffic=read_traffic(before.traffic, newest.metrics, self._clock.monotonic()),
            promotions=read_promotions(rollouts),
            at=self._clock.now(),
            failure="",
        )


async def _first(
    stub: "NLBServiceAsyncStub", request: nlb_pb2.StreamNLBMetricsRequest, left: float
) -> nlb_pb2.StreamNLBMetricsResponse:
    """The values as they are now; GetNLBMetrics has those of the last sample only."""
    call = stub.StreamNLBMetrics(request, timeout=left)
    try:
        async for answer in call:
            return answer
    finally:
        call.cancel()
    raise CallFailed("the NLB told no metrics")
