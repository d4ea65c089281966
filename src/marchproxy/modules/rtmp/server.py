"""The RTMP process: its workers and the one for playback, and ModuleService around them."""

from functools import cache
from pathlib import Path

from marchproxy.engines.workers.process import Recipe, WorkerProcess, code_of
from marchproxy.engines.workers.seat import Seat, WorkerUnavailable
from marchproxy.kit.clock import Clock, SystemClock
from marchproxy.kit.listening import choose_port
from marchproxy.kit.settings import HostPort, Problem, SettingsError
from marchproxy.model.module import Protocol, TrafficEndpoint
from marchproxy.modules.base.server import ModuleServer, Origin, Signals
from marchproxy.modules.reception.certificates import ClientCertificates
from marchproxy.modules.reception.doors import Doors
from marchproxy.modules.rtmp.engine import RtmpEngine
from marchproxy.modules.rtmp.settings import ADDRESSES, RtmpSettings
from marchproxy.modules.rtmp.supervisor.company import Company
from marchproxy.modules.rtmp.supervisor.workforce import Workforce
from marchproxy.modules.rtmp.talk import LINE, VERSION, Answer, Question

_NAME = "RTMP worker"
_MODULE = "marchproxy.modules.rtmp.worker"
_CODE = (
    "modules/rtmp", "modules/reception", "engines/workers", "engines/ffmpeg", "contract/document", "model", "wire", "kit",
)  # fmt: skip
_PLAYBACK_NAME = "RTMP playback"
_PLAYBACK_MODULE = "marchproxy.modules.rtmp.playback"
_FOLDER, _PLAYBACK = "workers", "playback"
_LONGEST_SOCKET = 107  # unix(7)
_WORKER_SOCKET = "99.sock"


async def serve(
    settings: RtmpSettings, origin: Origin, signals: Signals, *, clock: Clock | None = None
) -> None:
    """Run one RTMP instance until `signals.stop`. The system chooses the ports that are 0.

    Raises SettingsError, Refused, PortInUse, BindError. Workers end with it, but for those that an earlier process of the
    instance began and that it could not take over.
    """
    clock = clock or SystemClock()
    settings = choose_ports(settings)  # others are told where we listen
    folder, media = settings.own_state_dir() / _FOLDER, settings.own_media_dir()
    _make_directory(folder, "state_dir")
    _make_directory(media, "media_dir")
    certificates = (
        None if settings.client_tls is None else ClientCertificates(settings.client_tls, folder, clock=clock)
    )
    doors = Doors(settings.ports(), settings.proxy_sources, settings.drain_seconds, certificates)
    workers = Workforce(seats(settings, folder, clock=clock), doors, clock=clock)
    crew = Company(workers, _playback(settings, clock)) if settings.playback_ports() else workers
    async with crew.running():
        engine = RtmpEngine(crew, endpoints(settings), bandwidth=settings.bandwidth, clock=clock)
        await ModuleServer(settings, engine, origin, signals, clock=clock).run()


def choose_ports(settings: RtmpSettings) -> RtmpSettings:
    """The settings with ports that are free now in place of 0. Raises BindError."""
    given: dict[str, HostPort | None] = {name: getattr(settings, name) for name in ADDRESSES}
    chosen = {name: choose_port(address) for name, address in given.items() if address is not None}
    return settings.model_copy(update=chosen)


def endpoints(settings: RtmpSettings) -> tuple[TrafficEndpoint, ...]:
    """What the instance tells the NLB of its traffic ports."""
    found = [
        TrafficEndpoint(
            f"{port.protocol.value}-proxied" if port.proxied else port.protocol.value,
            port.protocol,
            str(settings.reachable(port.address)),
            port.proxied,
        )
        for port in settings.ports()
    ]
    found += [
        TrafficEndpoint(
            f"{one.value}-proxied" if port.proxied else one.value,
            one,
            str(settings.reachable(port.address)),
            port.proxied,
        )
        for port in settings.playback_ports()
        for one in (Protocol.HLS, Protocol.DASH)
    ]
    return tuple(found)


def seats(settings: RtmpSettings, folder: Path, *, clock: Clock) -> tuple[Seat[Question, Answer], ...]:
    """A place for each worker; those of numbers beyond them are told to end."""
    count = settings.worker_count()

    def process(index: int) -> WorkerProcess[Question, Answer]:
        return WorkerProcess(folder, index, _recipe(settings, index), LINE, clock=clock)

    for file in folder.glob("*.pid"):
        if file.stem.isdecimal() and int(file.stem) >= count:
            process(int(file.stem)).retire()
    return tuple(Seat(process(index), clock=clock) for index in range(count))


def _recipe(settings: RtmpSettings, index: int) -> Recipe:
    return Recipe(_NAME, _MODULE, _code(), WorkerUnavailable, tuple(_options(settings, index)))


def _options(settings: RtmpSettings, index: int) -> list[str]:
    words = {
        "index": index,
        "workers": settings.worker_count(),
        "media": settings.own_media_dir(),
        "instance": settings.id,
        "log-level": settings.log_level,
    }
    return [word for name, value in words.items() for word in (f"--{name}", str(value))]


def _playback(settings: RtmpSettings, clock: Clock) -> Workforce:
    """The process for HLS and DASH, in a folder of its own."""
    folder = settings.own_state_dir() / _PLAYBACK
    _make_directory(folder, "state_dir")
    options = ["--streams", str(settings.own_state_dir() / _FOLDER), *_options(settings, 0)]
    recipe = Recipe(_PLAYBACK_NAME, _PLAYBACK_MODULE, _code(), WorkerUnavailable, tuple(options))
    seat = Seat(WorkerProcess(folder, 0, recipe, LINE, clock=clock), clock=clock)
    doors = Doors(settings.playback_ports(), settings.proxy_sources, settings.drain_seconds)
    return Workforce([seat], doors, clock=clock)


@cache
def _code() -> str:
    return code_of(VERSION, _CODE)


def _make_directory(folder: Path, setting: str) -> None:
    longest = folder / _WORKER_SOCKET
    if setting == "state_dir" and len(bytes(longest)) > _LONGEST_SOCKET:
        reason = f"{longest} is longer than the {_LONGEST_SOCKET} bytes that a Unix socket may have; choose a shorter path"
        raise SettingsError([Problem(setting, reason)])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # who can connect to a worker's socket can tell it what to do
    except OSError as error:
        reason = f"cannot make {folder}: {error.strerror or error}"
        raise SettingsError([Problem(setting, reason)]) from error
