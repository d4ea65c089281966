"""The AILB process: its decider and relays, an HTTP gateway before them, and ModuleService around all."""

from contextlib import closing
from functools import cache, partial
from pathlib import Path

from marchproxy.engines.workers.process import Recipe, WorkerProcess, code_of
from marchproxy.engines.workers.seat import Seat, WorkerUnavailable
from marchproxy.kit.clock import Clock, SystemClock
from marchproxy.kit.settings import Problem, SettingsError
from marchproxy.modules.ailb.engine import AilbEngine
from marchproxy.modules.ailb.load.gpus import GpuWatch
from marchproxy.modules.ailb.relay import talk as relay_talk
from marchproxy.modules.ailb.resources.credentials import CredentialFiles
from marchproxy.modules.ailb.resources.extension import AiExtension
from marchproxy.modules.ailb.resources.sockets import LONGEST, Sockets
from marchproxy.modules.ailb.settings import AilbSettings
from marchproxy.modules.ailb.supervisor.crew import Crew, DeciderSeat, RelaySeat
from marchproxy.modules.ailb.supervisor.keys_file import KeysFile
from marchproxy.modules.ailb.supervisor.probing import probe
from marchproxy.modules.ailb.supervisor.standby import standing_by
from marchproxy.modules.ailb.talk import LINE, VERSION
from marchproxy.modules.base.server import ModuleServer, Origin, Signals
from marchproxy.modules.http.gateway import http_gateway
from marchproxy.modules.http.listening import choose_ports

_CODE = ("modules/ailb", "engines/workers", "contract/document", "model", "wire", "kit")
_DECIDER, _RELAYS = "decider", "relays"
_LONGEST_SOCKET = 107  # unix(7)


async def serve(
    settings: AilbSettings, origin: Origin, signals: Signals, *, clock: Clock | None = None
) -> None:
    """Run one AILB instance until `signals.stop`. The system chooses the ports that are 0.

    Raises SettingsError, Refused, PortInUse, BindError, EnvoyMissing and EnvoyStartError; nothing is left running then.
    """
    clock = clock or SystemClock()
    settings = choose_ports(settings)  # others are told where we listen
    sockets = Sockets(settings.own_state_dir(), settings.relay_count())
    _make_directory(sockets.folder)
    decider, relays = _decider(settings, sockets, clock=clock), _relays(settings, sockets, clock=clock)
    crew = Crew(decider, relays, KeysFile(settings.keys_file), clock=clock)
    gpus = GpuWatch(clock)
    async with (
        crew.running(),  # Envoy ends before it, and its last reports are heard
        http_gateway(
            settings, clock=clock, extension=AiExtension(sockets), secrets=CredentialFiles()
        ) as gateway,
    ):
        engine = AilbEngine(gateway, crew, gpus, partial(probe, sockets.egress))
        with closing(gpus):
            gpus.start()
            await ModuleServer(settings, engine, origin, signals, clock=clock).run()


def _decider(settings: AilbSettings, sockets: Sockets, *, clock: Clock) -> DeciderSeat:
    options = ("--run-dir", str(sockets.folder), "--log-level", settings.log_level)
    recipe = Recipe("decider", "marchproxy.modules.ailb.worker", _code(), WorkerUnavailable, options)
    folder = sockets.folder / _DECIDER
    _make_directory(folder)
    process = WorkerProcess(folder, 0, recipe, LINE, clock=clock)
    return Seat(process, clock=clock, meanwhile=partial(standing_by, sockets.decide, sockets.reports))


def _relays(settings: AilbSettings, sockets: Sockets, *, clock: Clock) -> tuple[RelaySeat, ...]:
    folder = sockets.folder / _RELAYS
    _make_directory(folder)

    def process(number: int) -> WorkerProcess[relay_talk.Question, relay_talk.Answer]:
        options = {
            "--listen": sockets.relay(number),
            "--run-dir": sockets.folder,
            "--drain-seconds": settings.drain_seconds,
            "--log-level": settings.log_level,
        }
        words = tuple(str(word) for pair in options.items() for word in pair)
        recipe = Recipe("relay", "marchproxy.modules.ailb.relay", _code(), WorkerUnavailable, words)
        return WorkerProcess(folder, number, recipe, relay_talk.LINE, clock=clock)

    for file in folder.glob("*.pid"):
        if file.stem.isdecimal() and int(file.stem) >= sockets.relays:
            process(int(file.stem)).retire()
    return tuple(Seat(process(number), clock=clock) for number in range(sockets.relays))


@cache
def _code() -> str:
    return code_of(VERSION * 1000 + relay_talk.VERSION, _CODE)


def _make_directory(folder: Path) -> None:
    longest = folder / LONGEST
    if len(bytes(longest)) > _LONGEST_SOCKET:
        reason = f"{longest} is longer than the {_LONGEST_SOCKET} bytes that a Unix socket may have; choose a shorter path"
        raise SettingsError([Problem("state_dir", reason)])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # who can connect to the decider's sockets can tell it what to do
    except OSError as error:
        reason = f"cannot make {folder}: {error.strerror or error}"
        raise SettingsError([Problem("state_dir", reason)]) from error
