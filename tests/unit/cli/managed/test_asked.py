"""Which manager is asked. This process stands for one that runs: its records are real."""

from contextlib import ExitStack
from pathlib import Path

import pytest
import typer

from marchproxy.cli.managed.asked import Asked, find_place
from marchproxy.cli.managed.contexts import Context, Contexts, contexts_file, write_contexts
from marchproxy.cli.manager.place import ManagerAway
from marchproxy.cli.record import SERVICE, recorded
from marchproxy.cli.up.parts import Folders
from marchproxy.kit.settings import SettingsError


class Machine:
    """A machine on which managers run, as far as files tell."""

    def __init__(self, folder: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._stack = folder, stack
        self.state = folder / "state" / "marchproxy"
        self.environ = {"XDG_CONFIG_HOME": str(folder / "config"), "XDG_STATE_HOME": str(folder / "state")}
        monkeypatch.setattr("os.geteuid", lambda: 1000)

    def file(self, name: str, port: int) -> Path:
        file = self.folder / f"{name}.yaml"
        file.write_text(f"manager: {{id: {name}, http: '0.0.0.0:{port}'}}\n")
        return file

    def alone(self, name: str, port: int) -> Path:
        """`marchproxy manager`; its local key."""
        return self._runs(self.state / name, self.file(name, port))

    def within_up(self, name: str, port: int) -> Path:
        """`marchproxy up`; the file that it was given."""
        file = self.file(name, port)
        folders = Folders(self.state / "up" / f"{name}-abc")
        folders.state.mkdir(parents=True)
        folders.running_file.write_bytes(file.read_bytes())
        self._stack.enter_context(recorded(folders.lock, file))
        self._runs(folders.state / name, folders.running_file)
        return file

    def _runs(self, home: Path, file: Path) -> Path:
        self._stack.enter_context(recorded(home / SERVICE, file))
        key = home / "local.key"
        key.write_text(f"key-of-{home.name}\n")
        return key

    def ask(self, **options) -> tuple[str, str]:
        place = find_place(Asked(**options), self.environ)
        return place.url, place.key


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with ExitStack() as stack:
        yield Machine(tmp_path, stack, monkeypatch)


def test_the_only_manager_of_this_machine_needs_no_name(machine: Machine) -> None:
    with pytest.raises(ManagerAway, match="no manager runs on this machine"):
        machine.ask()
    machine.alone("one", 8001)
    assert machine.ask() == ("http://127.0.0.1:8001", "key-of-one")


def test_of_several_the_file_or_the_key_says_which(machine: Machine) -> None:
    key = machine.alone("one", 8001)
    file = machine.within_up("two", 8002)
    with pytest.raises(
        ManagerAway, match=r"2 managers run on this machine(.|\n)*one/local.key(.|\n)*two/local.key"
    ):
        machine.ask()
    assert machine.ask(file=file) == ("http://127.0.0.1:8002", "key-of-two")
    assert machine.ask(file=machine.folder / "one.yaml") == ("http://127.0.0.1:8001", "key-of-one")
    assert machine.ask(key_file=key) == ("http://127.0.0.1:8001", "key-of-one")
    assert machine.ask(key_file=key, url="http://127.0.0.1:9/") == ("http://127.0.0.1:9", "key-of-one")


def test_a_key_that_was_left_behind_is_nobodys(machine: Machine) -> None:
    home = machine.state / "old"
    home.mkdir(parents=True)
    (home / "local.key").write_text("old")
    (home / SERVICE).write_text("")
    with pytest.raises(ManagerAway, match="no manager runs on this machine"):
        machine.ask()
    with pytest.raises(ManagerAway, match="no manager runs in that folder"):
        machine.ask(key_file=home / "local.key")
    with pytest.raises(ManagerAway, match="No such file"):
        machine.ask(key_file=home / "no.key", url="http://127.0.0.1:9")


def test_the_option_comes_before_the_current_context_and_that_before_this_machine(machine: Machine) -> None:
    machine.alone("one", 8001)
    contexts = Contexts()
    for name in ("prod", "test"):
        contexts = contexts.with_context(name, Context(url=f"https://{name}", key=f"mp_{name}"))
    write_contexts(contexts_file(machine.environ), contexts)
    assert machine.ask() == ("https://test", "mp_test")
    assert machine.ask(context="prod") == ("https://prod", "mp_prod")
    assert machine.ask(context="local") == ("http://127.0.0.1:8001", "key-of-one")
    with pytest.raises(SettingsError, match="no context"):
        machine.ask(context="stage")


def test_authorities_that_cannot_be_read_are_told(machine: Machine) -> None:
    context = Context(url="https://prod", key="mp_prod", ca=machine.folder / "none.pem")
    write_contexts(contexts_file(machine.environ), Contexts().with_context("prod", context))
    with pytest.raises(SettingsError, match=r"none\.pem: cannot be used: No such file"):
        machine.ask()


def test_a_url_needs_a_key(machine: Machine) -> None:
    with pytest.raises(typer.BadParameter, match="--manager needs --key-file"):
        machine.ask(url="http://127.0.0.1:9")
    key = machine.alone("one", 8001)
    assert machine.ask(context="stage", key_file=key) == ("http://127.0.0.1:8001", "key-of-one")
