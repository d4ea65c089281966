"""Judging: whether a GPU is fit to serve, from look to look, and which listeners are not because of it. Pure.

What makes one unfit is what NVIDIA's own watchers go by: its device plugin for Kubernetes (critical errors that are not an
application's own, https://docs.nvidia.com/deploy/xid-errors/) and DCGM's health checks (memory that errs, heat). How full its memory is
says nothing: engines take all that they are given.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from marchproxy.kit.addresses import ip_address
from marchproxy.modules.ailb.load.gpus.device import Device, Listener, Look

#: Seconds for which a GPU must have been slowed down until it counts, and have been not until it counts no more.
_HOT, _COOL = 3.0, 10.0
#: What programs do wrong: the GPU is well.
_OF_APPLICATIONS = frozenset({13, 31, 43, 45, 68, 109})


@dataclass(frozen=True, slots=True)
class Known:
    """A GPU and what it did before. `hot_since` and `cool_since`: Unix seconds, None: it is not.

    `xid`: the last critical error, and a moment before it: an engine that started between two looks was started again, as a rule.
    """

    device: Device
    hot_since: float | None = None
    cool_since: float | None = None
    is_hot: bool = False
    xid: tuple[int, float] | None = None

    def fault(self, started: float) -> str:
        """Why an engine that `started` then cannot serve by it; empty: it can. One that started after an error was let do so."""
        device = self.device
        if device.is_lost:
            return "is lost"
        if device.cannot_remap:
            return "cannot replace a faulty row of its memory"
        if device.uncorrected:
            return f"had {device.uncorrected} memory errors that were not corrected, and was not reset since"
        if self.xid is not None and started <= self.xid[1]:
            return f"had a critical error (Xid {self.xid[0]}) since the engine started"
        if self.is_hot:
            return "is slowed down by heat or for lack of power"
        return ""


@dataclass(frozen=True, slots=True)
class Gpus:
    """What is known of all of them, and which listeners use which, by UUID. `at`: when they were looked at, Unix seconds."""

    known: Mapping[str, Known] = field(default_factory=dict)
    uses: Mapping[Listener, frozenset[str]] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    at: float | None = None

    def unfit(self, addresses: Iterable[str]) -> Mapping[str, str]:
        """Which of these (`ip:port`) are of this host and have a GPU that is unfit, and why."""
        faults: dict[int, list[tuple[Listener, str]]] = {}
        for listener, uuids in self.uses.items():
            if words := self._words(listener, uuids):
                faults.setdefault(listener.port, []).append((listener, words))
        if not faults:
            return {}
        found: dict[str, str] = {}
        for address in addresses:
            host, _, port = address.rpartition(":")
            for listener, words in faults.get(int(port), ()) if port.isdecimal() else ():
                if self._is_at(listener, host.strip("[]")):
                    found[address] = words
        return found

    def _words(self, listener: Listener, uuids: Iterable[str]) -> str:
        each = sorted((self.known[uuid] for uuid in uuids), key=lambda one: one.device.index)
        return "; ".join(
            f"GPU {one.device.index} ({one.device.uuid}) {fault}"
            for one in each
            if (fault := one.fault(listener.started))
        )

    def _is_at(self, listener: Listener, host: str) -> bool:
        try:
            address, listens = ip_address(host), ip_address(listener.host)
        except ValueError:  # a host name: Envoy resolves it
            return False
        if not (address.is_loopback or str(address) in self.own):
            return False
        return listens.is_unspecified or listens == address


def judge(gpus: Gpus, look: Look) -> Gpus:
    """What is known after a look. One that is lost is still whose it was; one that is not there any more is, too."""
    since = look.at if gpus.at is None else gpus.at
    seen = {each.uuid: _known(gpus.known.get(each.uuid), each, since, look.at) for each in look.devices}
    known = {uuid: seen.get(uuid) or _gone(before) for uuid, before in gpus.known.items()} | seen
    uses: dict[Listener, frozenset[str]] = {}
    for listener, uuids in gpus.uses.items():
        lost = frozenset(uuid for uuid in uuids if known[uuid].device.is_lost)
        if lost and listener not in look.gone:
            uses[listener] = lost
    for device in look.devices:
        for pid in device.processes:
            for listener in look.serving.get(pid, ()):
                uses[listener] = uses.get(listener, frozenset()) | {device.uuid}
    used = frozenset(uuid for uuids in uses.values() for uuid in uuids)
    kept = {uuid: one for uuid, one in known.items() if uuid in seen or uuid in used}
    return Gpus(kept, uses, look.own, look.at)


def _gone(before: Known) -> Known:
    return replace(before, device=replace(before.device, is_lost=True, processes=frozenset()))


def _known(before: Known | None, device: Device, last: float, at: float) -> Known:
    before = before or Known(device)
    critical = [xid for xid in device.xids if xid not in _OF_APPLICATIONS]
    xid = (critical[-1], last) if critical else before.xid
    if _slowed(device):
        since = at if before.hot_since is None else before.hot_since
        return Known(device, since, None, before.is_hot or at - since >= _HOT, xid)
    since = at if before.cool_since is None else before.cool_since
    return Known(device, None, since, before.is_hot and at - since < _COOL, xid)


def _slowed(device: Device) -> bool:
    too_hot = (
        device.temperature is not None
        and device.slows_at is not None
        and device.temperature >= device.slows_at
    )
    return device.is_slowed or too_hot
