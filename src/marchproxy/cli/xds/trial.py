"""Trial: a change is given to one node of a cohort first."""

from collections.abc import Sequence
from dataclasses import dataclass

from marchproxy.cli.xds.catalogue import compiled
from marchproxy.cli.xds.cohorts import Cohort, Kind
from marchproxy.cli.xds.counts import Counts
from marchproxy.engines.envoy.validation import Fault, Unjudged, Validator
from marchproxy.engines.envoy.xds import (
    AdsServer,
    Identity,
    InconsistentSnapshot,
    ResourceType,
    Snapshot,
    SnapshotRejected,
)
from marchproxy.engines.envoy.xds.canary import Outcome, try_on
from marchproxy.kit.logs import get_logger
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.modules.http.mixture import Inputs
from marchproxy.modules.http.publication import Rejected

_log = get_logger(__name__)


async def judged(validator: Validator | None, cohort: Cohort, snapshot: Snapshot) -> tuple[Fault, ...]:
    """What Envoy would refuse of the snapshot of a cohort. Nobody can tell beforehand for a gRPC library."""
    if validator is None or cohort.kind is Kind.GRPC:
        return ()
    try:
        return await validator.check(snapshot)
    except Unjudged as error:
        _log.warning("a file could not be judged before it is served", reason=str(error))
        return ()


@dataclass(frozen=True, slots=True)
class Means:
    """What trials are made with. `timeout`: for how many seconds a canary may be silent."""

    ads: AdsServer
    validator: Validator | None
    counts: Counts
    timeout: float


class Trial:
    """Publishes to the first connected node of a cohort. `accepted` is what it held last without a refusal."""

    def __init__(self, means: Means, cohort: Cohort, members: Sequence[Identity], accepted: Snapshot) -> None:
        """`members`: those to ask, the first that is still connected."""
        self._means = means
        self._cohort = cohort
        self._members = members
        self.accepted = accepted

    def build(self, inputs: Inputs) -> Snapshot:
        """The snapshot of some inputs. Raises Refused."""
        try:
            return compiled(self._cohort, inputs)
        except InconsistentSnapshot as error:
            raise Refused(RefusalCode.INVALID_ARGUMENT, f"not consistent: {error}") from error

    async def judge(self, inputs: Inputs) -> Snapshot:
        """Have an Envoy of our own judge the inputs. Raises Rejected, Refused."""
        snapshot = self.build(inputs)
        if faults := await judged(self._means.validator, self._cohort, snapshot):
            raise Rejected(faults, snapshot, beforehand=True)
        return snapshot

    async def publish(self, snapshot: Snapshot) -> None:
        """Return when the canary acknowledged it, or was silent for too long, or is gone. Raises Rejected."""
        for member in self._members:
            node = self._means.ads.node(member.key)
            if not node.connected:
                continue
            try:
                whole = self._cohort.kind is Kind.ENVOY
                outcome = await try_on(
                    node, snapshot, self.accepted, whole=whole, timeout=self._means.timeout
                )
            except SnapshotRejected as error:
                self._note(member, "refused", error.message)
                if error.type is not ResourceType.LISTENER:
                    faults = [Fault(error.type, name, "", error.message) for name in error.names]
                    raise Rejected(faults, snapshot, beforehand=False) from error
                break  # a port that is taken is a matter of that machine; it goes on without the listener
            self._note(member, outcome.value)
            if outcome is not Outcome.GONE:
                break
        self.accepted = snapshot

    def _note(self, member: Identity, outcome: str, reason: str = "") -> None:
        _log.info(
            "a canary was asked first",
            node=member.node_id,
            cohort=str(self._cohort),
            outcome=outcome,
            reason=reason,
        )
        self._means.counts.canary(outcome)
