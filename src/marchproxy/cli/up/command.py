"""`marchproxy up`: puts the pieces together and runs them under signals."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import typer
from rich.text import Text

from marchproxy.cli.failing import fail, failing_clearly
from marchproxy.cli.file import Loaded, load_file
from marchproxy.cli.leash import ParentGone, end_with
from marchproxy.cli.manager.welcome import welcome
from marchproxy.cli.record import recorded
from marchproxy.cli.screen import stdout
from marchproxy.cli.up.by_manager import Handed, hand_over
from marchproxy.cli.up.keeper import Keeper, PartFailed
from marchproxy.cli.up.overview import invitations, overview, wait_for_targets
from marchproxy.cli.up.parts import Folders, Part, environment, open_ports, parts_of
from marchproxy.cli.up.report import Report, Tone
from marchproxy.cli.up.strays import end_strays
from marchproxy.cli.up.supervisor import Supervisor
from marchproxy.contract.fleet.client import CallFailed, Client, connected
from marchproxy.contract.fleet.takers import Offer, Refusal, Reload, Taker, registered
from marchproxy.kit import tasks
from marchproxy.kit.files import default_state_dir, write_atomically
from marchproxy.kit.listening import BindError, choose_port
from marchproxy.kit.settings import SettingsError
from marchproxy.kit.telemetry import Service, TracingSection, spanned, tracing
from marchproxy.manager.settings import ManagerSettings

_KILLED = 130
_AT_START = ("nlb", "modules", "manager", "tracing")
_NOBODY = "127.0.0.1:1"


class System:
    """A file that is up: its parts, and what is in force."""

    def __init__(self, file: Path, folders: Folders, environ: dict[str, str]) -> None:
        """Read the file. Raises SettingsError, BindError."""
        self._file = file
        self._folders = folders
        probe = load_file(file, environ).document
        chosen = {name: str(choose_port(address)) for name, address in open_ports(probe)}
        self._environ = environ | chosen
        self._loaded = load_file(file, self._environ)
        self.parts: tuple[Part, ...] = parts_of(self._loaded.document, folders, environ)
        if not self.parts:
            fail(f"{file}: nothing to run: it has none of the sections `nlb`, `modules` and `manager`")
        width = max(len(part.name) for part in self.parts)
        self.report = Report(stdout(), max(width, len("marchproxy")))

    @property
    def tracing(self) -> TracingSection | None:
        """Where spans of reloads go."""
        return self._loaded.document.tracing

    async def run(self, stop: asyncio.Event) -> None:
        """Run every part until `stop`. Raises PartFailed."""
        self._folders.logs.mkdir(parents=True, exist_ok=True)
        write_atomically(self._folders.running_file, self._file.read_bytes())
        for warning in self._loaded.warnings:
            self._say("warning", warning.render(), Tone.WARNING)
        self._say("starting", f"{self._file}, state and logs in {self._folders.state}")
        environ = environment(self._loaded.document, self._folders, self._environ)
        keepers = [Keeper(part, environ, self.report) for part in self.parts]
        await Supervisor(keepers, self._greet).run(stop)

    @spanned("reload")
    async def reload(self) -> None:
        """Put the file as it is now in force everywhere, or say why not and leave everything as it is."""
        try:
            loaded = load_file(self._file, self._environ)
            text = self._file.read_bytes()
        except (SettingsError, OSError) as error:
            self._say("refused", f"everything stays as it was\n{error}", Tone.BAD)
            return
        if self._loaded.document.manager is not None:
            handed = await self._hand_over(self._loaded.document.manager, loaded, text)
        else:
            handed = Handed(tuple(await self._put_in_force(loaded, text)))
        lines = [f"{refusal.who}: {reason}" for refusal in handed.refusals for reason in refusal.reasons]
        if not handed.known:
            words = "the manager has not said whether it is in force; SIGHUP asks again"
            self._say("unclear", "\n".join([words, *(lines or [handed.said])]), Tone.BAD)
        elif lines:
            self._say("refused", "\n".join(["everything stays as it was", *lines]), Tone.BAD)
        else:
            self._accept(loaded, handed.said)

    async def _hand_over(self, manager: ManagerSettings, loaded: Loaded, text: bytes) -> Handed:
        """Let the manager put it in force, as one more revision. Where it does not say, the parts keep the new copy."""
        retreat = self._replace_copy(text)
        handed = await hand_over(self._own(manager), loaded.state, self._file)
        if handed.known and handed.refusals:
            retreat()
        return handed

    def _own(self, manager: ManagerSettings) -> ManagerSettings:
        return manager.model_copy(update={"state_dir": manager.state_dir or self._folders.state})

    async def _put_in_force(self, loaded: Loaded, text: bytes) -> list[Refusal]:
        try:
            async with connected(self._nlb()) as client:
                reload = Reload(client, await self._takers(client))
                refusals = await reload.check(Offer.of(loaded.state))
                return refusals or await self._apply(reload, loaded, text)
        except CallFailed as error:
            return [Refusal("nlb", (str(error),))]

    async def _apply(self, reload: Reload, loaded: Loaded, text: bytes) -> list[Refusal]:
        retreat = self._replace_copy(text)
        return await reload.apply(
            Offer.of(loaded.state),
            Offer.of(self._loaded.state),
            retreat=retreat,
        )

    def _replace_copy(self, text: bytes) -> Callable[[], None]:
        """Give the parts another copy, before it is in force: one that starts again must not go back. How to undo it."""
        file = self._folders.running_file
        before = file.read_bytes()
        write_atomically(file, text)
        return lambda: write_atomically(file, before)

    def _accept(self, loaded: Loaded, said: str) -> None:
        before, now = self._loaded.document, loaded.document
        self._loaded = loaded
        self._say("reloaded", f"{self._file} is in force everywhere{said and f', {said}'}", Tone.GOOD)
        if any(getattr(before, name) != getattr(now, name) for name in _AT_START):
            words = "changes in `nlb`, `modules`, `manager` and `tracing` take effect at the next start"
            self._say("warning", words, Tone.WARNING)

    async def _greet(self) -> None:
        """Say what runs, once traffic can flow."""
        document = self._loaded.document
        if document.nlb is not None:
            try:
                async with connected(self._nlb()) as client:
                    status = await wait_for_targets(client)
            except CallFailed as error:
                self._say("warning", str(error), Tone.WARNING)
                return
            self.report.show(overview(status).rendered())
        if document.manager is not None:
            self.report.show(Text(welcome(self._own(document.manager)), style="bold"))
        for number, command in enumerate(invitations(document)):
            self.report.show(
                Text("ready:  " if number == 0 else "        ", style="bold green") + Text(command)
            )
        self.report.show(Text("        Ctrl-C stops it, SIGHUP reads the file again", style="dim"))

    async def _takers(self, client: Client) -> list[Taker]:
        own = {
            part.name: Taker(part.name, str(part.grpc), part.kind == "nlb")
            for part in self.parts
            if part.grpc is not None
        }
        nlbs = [taker for taker in own.values() if taker.is_nlb]
        modules = {name: taker for name, taker in own.items() if not taker.is_nlb}
        if nlbs:
            known = {taker.name: taker for taker in await registered(client)}
            modules |= {name: taker for name, taker in known.items() if name not in modules}
        return [*modules.values(), *nlbs]

    def _nlb(self) -> str:
        return next((str(part.grpc) for part in self.parts if part.kind == "nlb"), _NOBODY)

    def _say(self, event: str, detail: str, tone: Tone = Tone.CALM) -> None:
        self.report.say("marchproxy", event, detail, tone)


def run_up(file: Path, state_dir: Path | None, leash: int | None = None) -> None:
    """Run everything in the file until Ctrl-C or SIGTERM. Raises typer.Exit when it cannot, or had to be killed.

    With `leash` it also ends when the process of that id does, which must have started it.
    """
    folders = folders_of(file, state_dir)
    with failing_clearly(PartFailed, BindError, ParentGone, OSError), _alone(file, folders):
        if leash is not None:
            end_with(leash)
        system = System(file, folders, dict(os.environ))
        try:
            with tracing(system.tracing, Service("up", file.stem)):
                clean = tasks.run(lambda: tasks.run_service(system.run, on_reload=system.reload))
        finally:
            end_strays(folders.state, folders.running_file)
    if not clean:
        raise typer.Exit(_KILLED)


def folders_of(file: Path, state_dir: Path | None) -> Folders:
    """Where `up` keeps things of a file."""
    return Folders((state_dir or _default_folder(file)).absolute())


def _default_folder(file: Path) -> Path:
    """A folder of its own for each file, so that two files with the same ids keep apart."""
    place = sha256(str(file.absolute()).encode()).hexdigest()[:8]
    return default_state_dir() / "up" / f"{file.stem}-{place}"


@contextmanager
def _alone(file: Path, folders: Folders) -> Iterator[None]:
    """Hold the folder's lock, so that two of us never share state, and `down` finds us."""
    with recorded(folders.lock, file) as alone:
        if not alone:
            fail(
                f"another `marchproxy up` runs with {folders.state}; stop it, or choose another folder with --state-dir"
            )
        yield
