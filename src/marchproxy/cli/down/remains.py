"""Remains: which processes of this machine are a file's, and how they are to be ended. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Kind(Enum):
    """What a process is, in the order in which they are ended: modules before the NLB, so that they can leave it.

    The manager before all, as it would take their leaving for a failure.
    """

    UP = "up"
    MANAGER = "manager"
    MODULE = "module"
    NLB = "nlb"
    RELAY = "relay worker"
    DATABASES = "DBLB worker"
    STREAMS = "RTMP worker"
    PLAYBACK = "RTMP playback"
    AI_RELAY = "AILB relay"
    ENVOY = "Envoy"
    DECIDER = "AILB decider"  # after Envoy, which reports to it


#: Worker processes by the module that they run.
WORKERS = {
    "marchproxy.nlb.dataplane.relay.worker": Kind.RELAY,
    "marchproxy.modules.dblb.worker": Kind.DATABASES,
    "marchproxy.modules.rtmp.worker": Kind.STREAMS,
    "marchproxy.modules.rtmp.playback": Kind.PLAYBACK,
    "marchproxy.modules.ailb.relay": Kind.AI_RELAY,
    "marchproxy.modules.ailb.worker": Kind.DECIDER,
}


#: The services of which a file has one, by their command.
_ALONE = {"nlb": Kind.NLB, "manager": Kind.MANAGER}


@dataclass(frozen=True, slots=True)
class Ground:
    """What is a file's: the copy that `up`'s processes read, and the state folders of single services."""

    running_file: Path
    homes: Collection[Path]

    def home_of(self, path: str) -> Path | None:
        """The state folder that a path lies in."""
        return next((home for home in self.homes if Path(path).is_relative_to(home)), None) if path else None


@dataclass(frozen=True, slots=True)
class Seen:
    """A process of this machine."""

    pid: int
    parent: int
    command: Sequence[str]


@dataclass(frozen=True, slots=True)
class Remain:
    """A process that is the file's. `told`: it has been asked to end already, because its parent died."""

    pid: int
    kind: Kind
    name: str
    told: bool = False


def judge(seen: Seen, ground: Ground, recorded: str | None = None) -> Remain | None:
    """What a process is; None when it is not the file's. `recorded`: the service that a record says it is."""
    if recorded is not None:
        return _service(seen, recorded)
    if (home := ground.home_of(_after(seen.command, "--admin-address-path"))) is not None:
        return Remain(seen.pid, Kind.ENVOY, home.name)
    worker = WORKERS.get(_after(seen.command, "-m"))
    if worker is not None and (home := ground.home_of(_after(seen.command, "--socket"))) is not None:
        return Remain(seen.pid, worker, home.name)
    if _after(seen.command, "--config") == str(ground.running_file) and "--leash" in seen.command:
        other = "manager" if "manager" in seen.command else "nlb"
        return _service(seen, _after(seen.command, "--id") or other)
    return None


def _service(seen: Seen, name: str) -> Remain:
    # by its leash it has had its SIGTERM; another one would end it without a drain
    leash = _after(seen.command, "--leash")
    told = bool(leash) and leash != str(seen.parent)
    kind = next((kind for word, kind in _ALONE.items() if word in seen.command), Kind.MODULE)
    return Remain(seen.pid, kind, name, told)


def _after(command: Sequence[str], option: str) -> str:
    """The argument of an option, or nothing."""
    position = command.index(option) + 1 if option in command else len(command)
    return command[position] if position < len(command) else ""
