"""What cannot start says why in one clear line, exits with an error, and leaves nothing behind."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.real.support.process import naming, start
from tests.real.support.system import System

COMMANDS = ("nlb", "alb", "up")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    said: str

    def expect(self, *words: str) -> None:
        """It failed, with these words and no traceback."""
        assert self.code == 1, self.said
        assert "Traceback" not in self.said, self.said
        assert all(word in self.said for word in words), self.said


async def command(name: str, file: Path, env: dict[str, str] | None = None) -> Ended:
    """Run `marchproxy NAME` with a file until it ends, which it must do quickly."""
    folder = file.parent
    options = ["--state-dir", str(folder / "up"), str(file)] if name == "up" else ["--config", str(file)]
    log = folder / f"{name}.log"
    log.unlink(missing_ok=True)
    process = await start(
        [sys.executable, "-m", "marchproxy", name, *(options if name != "validate" else [str(file)])],
        log,
        {"COLUMNS": "500", **(env or {})},
    )
    try:
        code = await process.ended(40)
        left = [found for found in naming(folder) if found.pid != process.pid]
        assert left == [], "it left processes behind"
        return Ended(code, process.log.read_text())
    finally:
        await process.end()


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    """The file of a system that could start."""
    state = {"routes": [{"id": "web", "backends": ["p"]}], "pools": [{"name": "p"}]}
    System(tmp_path, state, {"alb-1": "v1"})  # writes the file
    read: dict[str, Any] = yaml.safe_load((tmp_path / "system.yaml").read_text())
    return read


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on, in a way that Envoy could share it."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def put(folder: Path, document: dict[str, Any]) -> Path:
    file = folder / "system.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


PORTS = [
    ("nlb", ("nlb", "grpc"), "nlb.grpc"),
    ("nlb", ("nlb", "metrics"), "nlb.metrics"),
    ("nlb", ("nlb", "envoy", "admin"), "envoy.admin"),
    ("nlb", ("listeners", 0, "address"), 'listener "web"'),
    ("alb", ("modules", 0, "grpc"), "grpc"),
    ("alb", ("modules", 0, "health"), "health"),
    ("alb", ("modules", 0, "metrics"), "metrics"),
    ("alb", ("modules", 0, "traffic"), "traffic"),
    ("alb", ("modules", 0, "proxy_traffic"), "proxy_traffic"),
    ("alb", ("modules", 0, "envoy", "admin"), "envoy.admin"),
    ("up", ("nlb", "grpc"), "nlb.grpc"),
    ("up", ("modules", 0, "traffic"), "traffic"),
]


@pytest.mark.parametrize(("name", "path", "setting"), PORTS)
async def test_a_port_in_use(
    name: str,
    path: tuple[str | int, ...],
    setting: str,
    document: dict[str, Any],
    taken: int,
    tmp_path: Path,
) -> None:
    section: Any = document
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = f"127.0.0.1:{taken}"
    ended = await command(name, put(tmp_path, document))
    ended.expect(setting, f"127.0.0.1:{taken}", "in use")


@pytest.mark.parametrize("name", [*COMMANDS, "validate"])
async def test_a_file_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    (await command(name, missing)).expect(str(missing), "No such file")
    (await command(name, tmp_path)).expect(str(tmp_path), "directory")
    broken = tmp_path / "broken.yaml"
    broken.write_bytes(b"nlb: {\xff}")
    (await command(name, broken)).expect(str(broken), "UTF-8")


@pytest.mark.parametrize("name", [*COMMANDS, "validate"])
async def test_every_fault_of_a_file_has_its_line(name: str, tmp_path: Path) -> None:
    file = tmp_path / "system.yaml"
    file.write_text(
        "nlb:\n  grcp: 127.0.0.1:1\nmodules:\n  - {id: a b, type: alb}\nroutes:\n  - {id: x, path: '*'}\n"
    )
    (await command(name, file)).expect(f"{file}:2", "grpc", f"{file}:4", f"{file}:6")


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_missing_envoy(name: str, document: dict[str, Any], tmp_path: Path) -> None:
    for section in (document["nlb"], document["modules"][0]):
        section["envoy"]["binary"] = str(tmp_path / "no-envoy")
    ended = await command(name, put(tmp_path, document))
    ended.expect(str(tmp_path / "no-envoy"), "does not exist", "envoy.binary")


async def test_an_envoy_that_is_missing_or_none_by_environment(
    document: dict[str, Any], tmp_path: Path
) -> None:
    file = put(tmp_path, document)
    ended = await command("nlb", file, {"MARCHPROXY_NLB__ENVOY__BINARY": "/nowhere/envoy"})
    ended.expect("/nowhere/envoy", "does not exist", "envoy.binary")
    ended = await command("nlb", file, {"MARCHPROXY_NLB__ENVOY__BINARY": str(file)})
    ended.expect(str(file), "not executable")
    ended = await command("nlb", file, {"MARCHPROXY_NLB__ENVOY__BINARY": "/bin/true"})
    ended.expect("Envoy ended", "/bin/true", "envoy.binary")


@pytest.mark.parametrize("name", ["nlb", "alb"])
async def test_a_state_folder_that_cannot_be(name: str, document: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for section in (document["nlb"], document["modules"][0]):
        section["state_dir"] = str(tmp_path / "file")
    (await command(name, put(tmp_path, document))).expect(str(tmp_path / "file"), "Not a directory")


async def test_a_second_process_leaves_the_first_alone(tmp_path: Path) -> None:
    system = System(tmp_path, {}, {"alb-1": "v1"})
    try:
        await system.start()
        for part, words in ((system.nlb, "nlb.grpc"), (system.alb, "alb-1")):
            envoy = part.envoy().pid
            second = await start(part.command, tmp_path / "second.log")
            assert await second.ended(20) == 1, second.log.read_text()
            assert words in second.log.read_text()
            assert part.envoy().pid == envoy
        await asyncio.sleep(0.2)
        await system.targets({"alb-1"})
    finally:
        await system.close()
