"""Publication: one set of inputs built, judged beforehand, and published to Envoy."""

import asyncio
import threading
import time
from collections.abc import Sequence

from marchproxy.engines.envoy.validation import Fault, Unjudged, Validator
from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.publish import Publisher, PublishTimeout, SnapshotRejected
from marchproxy.engines.envoy.xds.snapshot import InconsistentSnapshot, Snapshot, check
from marchproxy.kit.logs import get_logger
from marchproxy.kit.telemetry import spanned
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.modules.http.mixture import Inputs
from marchproxy.modules.http.resources import Builder

_log = get_logger(__name__)
_PUBLISH_SECONDS = 5.0


class Rejected(Exception):
    """Envoy would not take a snapshot (`beforehand`), or did not; it runs what it ran before."""

    def __init__(self, faults: Sequence[Fault], snapshot: Snapshot, *, beforehand: bool) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = tuple(faults)
        self.snapshot = snapshot
        self.beforehand = beforehand


def resume(publisher: Publisher, last_good: Snapshot | None, builder: Builder, *, adopted: bool) -> None:
    """Serve what an earlier process published last, before anything else is known.

    An Envoy that was adopted holds it. A new one is given it if its listeners are still the ones that are wanted.
    """
    if last_good is None:
        return
    wanted = {listener.name: listener for listener in builder.listeners}
    if adopted or dict(last_good.of(ResourceType.LISTENER)) == wanted:
        publisher.resume(last_good)
        _log.info("the last good snapshot is served", adopted=adopted, resources=len(last_good))


class Publication:
    """How inputs get to Envoy."""

    def __init__(self, publisher: Publisher, builder: Builder, validator: Validator | None) -> None:
        """`validator` None: nothing is judged beforehand."""
        self._publisher = publisher
        self._builder = builder
        self._validator = validator
        self._building = threading.Lock()  # the builder remembers what it built last

    @spanned("compile")
    def build(self, inputs: Inputs) -> Snapshot:
        """The snapshot of some inputs. Raises Refused."""
        try:
            with self._building:
                return check(self._builder.build(inputs.state, inputs.credentials, inputs.findings))
        except InconsistentSnapshot as error:
            raise Refused(RefusalCode.INVALID_ARGUMENT, f"not consistent: {error}") from error

    async def judge(self, inputs: Inputs) -> Snapshot:
        """Have Envoy judge the inputs, if that is wanted; changes nothing. Raises Rejected, Refused.

        An Envoy that gives no judgement (killed, out of memory) is told of and holds up nobody: what is published is
        judged once more by the Envoy that gets it.
        """
        # a whole document of 5,000 routes takes a while, and others are answered meanwhile
        snapshot = await asyncio.to_thread(self.build, inputs)
        if self._validator is None:
            return snapshot
        try:
            faults = await self._validator.check(snapshot)
        except Unjudged as error:
            _log.warning("a change could not be judged before it is published", reason=str(error))
            return snapshot
        if faults:
            raise Rejected(faults, snapshot, beforehand=True)
        return snapshot

    async def publish(self, snapshot: Snapshot) -> None:
        """Return when Envoy acknowledged everything. Raises Rejected, and Refused when it does not answer."""
        started = time.monotonic()
        try:
            await self._publisher.publish(snapshot, timeout=_PUBLISH_SECONDS)
        except SnapshotRejected as error:
            _log.warning("Envoy refused a change", reason=str(error), seconds=time.monotonic() - started)
            faults = [Fault(error.type, name, "", error.message) for name in error.names]
            raise Rejected(faults, snapshot, beforehand=False) from error
        except PublishTimeout as error:
            raise Refused(
                RefusalCode.UNAVAILABLE, f"Envoy did not acknowledge the change, which is taken back: {error}"
            ) from error
