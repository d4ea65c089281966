"""The DBLB process: its workers, and ModuleService around them."""

from functools import cache
from pathlib import Path

from marchproxy.engines.workers.process import Recipe, WorkerProcess, code_of
from marchproxy.engines.workers.seat import Seat, WorkerUnavailable
from marchproxy.kit.clock import Clock, SystemClock
from marchproxy.kit.listening import choose_port
from marchproxy.kit.settings import HostPort, Problem, SettingsError
from marchproxy.model.module import TrafficEndpoint
from marchproxy.modules.base.server import ModuleServer, Origin, Signals
from marchproxy.modules.dblb.engine import DblbEngine
from marchproxy.modules.dblb.redis.envoy import RedisEnvoy, RedisEnvoySettings
from marchproxy.modules.dblb.settings import ADDRESSES, DblbSettings
from marchproxy.modules.dblb.supervisor.workforce import Workforce
from marchproxy.modules.dblb.talk import LINE, VERSION, Answer, Question
from marchproxy.modules.reception.certificates import ClientCertificates
from marchproxy.modules.reception.doors import Doors

_NAME = "DBLB worker"
_MODULE = "marchproxy.modules.dblb.worker"
_CODE = ("modules/dblb", "modules/reception", "engines/workers", "contract/document", "model", "wire", "kit")
_FOLDER = "workers"
_LONGEST_SOCKET = 107  # unix(7)
_WORKER_SOCKET = "99.sock"
_REDIS_SOCKET = "redis-0123456789ab.sock"  # Envoy's


async def serve(
    settings: DblbSettings, origin: Origin, signals: Signals, *, clock: Clock | None = None
) -> None:
    """Run one DBLB instance until `signals.stop`. The system chooses the ports that are 0.

    Raises SettingsError, Refused, PortInUse, BindError. Workers end with it, but for those that an earlier process of the
    instance began and that it could not take over.
    """
    clock = clock or SystemClock()
    settings = choose_ports(settings)  # others are told where we listen
    folder = settings.own_state_dir() / _FOLDER
    _make_directory(folder, _REDIS_SOCKET if settings.redis or settings.redis_proxy else _WORKER_SOCKET)
    certificates = (
        None if settings.client_tls is None else ClientCertificates(settings.client_tls, folder, clock=clock)
    )

    doors = Doors(settings.ports(), settings.proxy_sources, settings.drain_seconds, certificates)
    workers = Workforce(seats(settings, folder, clock=clock), doors, clock=clock)
    beside = RedisEnvoySettings(settings.id, folder, settings.own_state_dir())
    envoy = RedisEnvoy(beside, clock=clock)
    async with envoy.running(), workers.running():
        engine = DblbEngine(workers, endpoints(settings), clock=clock, redis_envoy=envoy)
        await ModuleServer(settings, engine, origin, signals, clock=clock).run()


def choose_ports(settings: DblbSettings) -> DblbSettings:
    """The settings with ports that are free now in place of 0. Raises BindError."""
    given: dict[str, HostPort | None] = {name: getattr(settings, name) for name in ADDRESSES}
    chosen = {name: choose_port(address) for name, address in given.items() if address is not None}
    return settings.model_copy(update=chosen)


def endpoints(settings: DblbSettings) -> tuple[TrafficEndpoint, ...]:
    """What the instance tells the NLB of its traffic ports."""
    return tuple(
        TrafficEndpoint(
            f"{port.protocol.value}-proxied" if port.proxied else port.protocol.value,
            port.protocol,
            str(settings.reachable(port.address)),
            port.proxied,
        )
        for port in settings.ports()
    )


def seats(settings: DblbSettings, folder: Path, *, clock: Clock) -> tuple[Seat[Question, Answer], ...]:
    """A place for each worker; those of numbers beyond them are told to end."""
    count = settings.worker_count()
    for file in folder.glob("*.pid"):
        if file.stem.isdecimal() and int(file.stem) >= count:
            WorkerProcess(
                folder, int(file.stem), _recipe(settings, int(file.stem)), LINE, clock=clock
            ).retire()
    return tuple(
        Seat(WorkerProcess(folder, index, _recipe(settings, index), LINE, clock=clock), clock=clock)
        for index in range(count)
    )


def _recipe(settings: DblbSettings, index: int) -> Recipe:
    count, memory = settings.worker_count(), settings.memory
    numbers = {
        "index": index,
        "workers": count,
        "message": memory.longest_message,
        "client-statements": max(memory.client_statements // count, 1),
        "server-statements": memory.server_statements,
    }
    options = [word for name, number in numbers.items() for word in (f"--{name}", str(number))]
    return Recipe(_NAME, _MODULE, _code(), WorkerUnavailable, (*options, "--log-level", settings.log_level))


@cache
def _code() -> str:
    return code_of(VERSION, _CODE)


def _make_directory(folder: Path, name: str) -> None:
    longest = folder / name
    if len(bytes(longest)) > _LONGEST_SOCKET:
        reason = f"{longest} is longer than the {_LONGEST_SOCKET} bytes that a Unix socket may have; choose a shorter path"
        raise SettingsError([Problem("state_dir", reason)])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # who can connect to a worker's socket can tell it what to do
    except OSError as error:
        reason = f"cannot make {folder}: {error.strerror or error}"
        raise SettingsError([Problem("state_dir", reason)]) from error
