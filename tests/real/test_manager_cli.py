"""The commands that ask a manager, as people type them: one system under `up`, from the first apply to a drain."""

import asyncio
import json
import os
import pty
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from tests.ports import free_port
from tests.real.support.backends import serving
from tests.real.support.certificates import make_certificate
from tests.real.support.load import load
from tests.real.support.manager import GOOD, manager_alone
from tests.real.support.typist import Typist, typist
from tests.real.support.up import MARCHPROXY, Up, example
from tests.real.support.waiting import until

ANOTHER = """
  - id: alb-2
    type: alb
    grpc: 127.0.0.1:{}
    health: 127.0.0.1:{}
    metrics: 127.0.0.1:{}
    traffic: 127.0.0.1:{}
    proxy_traffic: 127.0.0.1:{}
    envoy: {{admin: "127.0.0.1:{}"}}
    metrics_interval: 500ms
    stats_window: 1
"""


class Shell:
    """Somebody at a shell of the manager's machine."""

    def __init__(self, up: Up, folder: Path, port: int, hands: Typist) -> None:
        self.up, self.folder, self._hands = up, folder, hands
        self.url = f"http://127.0.0.1:{port}"
        self.home = up.state / "manager-1"
        self.key = ("--key-file", str(self.home / "local.key"))

    async def does(self, *words: str, code: int = 0, **options: str) -> str:
        """Run a command with the local key; what it says, on stdout where it does what it is to do."""
        return await self.types(*words, *self.key, code=code, **options)

    async def types(self, *words: str, code: int = 0, **options: str) -> str:
        """Run a command as it is."""
        found, out, err = await self._hands.type(*words, **options)
        assert found == code, f"{words} ended with {found}\n{out}\n{err}"
        assert "Traceback" not in err
        return out if not code else out + err

    async def revision(self) -> int:
        (head,) = json.loads(await self.does("revisions", "--limit", "1", "--json"))["items"]
        return head["number"]

    def document(self, name: str, text: str, old: str, new: str) -> str:
        """A file that says something else than `text`."""
        assert old in text
        file = self.folder / name
        file.write_text(text.replace(old, new))
        return str(file)


@pytest.fixture
async def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("MARCHPROXY_CONTEXT", raising=False)
    port = free_port()
    async with serving("blue") as (blue,), example(tmp_path, blue.address) as up, typist() as hands:
        up.edit("modules:\n", "modules:" + ANOTHER.format(*(free_port() for _ in range(6))))
        up.edit("attempts: 2", "attempts: 3")
        up.edit("    version: v1\n    grpc", "    metrics_interval: 500ms\n    stats_window: 1\n    grpc")
        section = f'manager: {{http: "127.0.0.1:{port}", metrics: "127.0.0.1:{free_port()}"}}\n'
        up.file.write_text(section + up.file.read_text())
        await up.launch()
        await up.says("ready:  curl http://", within=60)
        yield Shell(up, tmp_path, port, hands)


async def test_from_a_file_to_a_canary(shell: Shell) -> None:
    old = await an_apply_is_followed(shell)
    await conflicts_and_refusals_change_nothing(shell, old)
    await one_goes_back(shell)
    await a_login_is_a_key_that_logout_ends(shell)
    await a_canary_is_watched_to_its_end(shell)
    await an_instance_is_drained(shell)
    await top_shows_it(shell)


async def an_apply_is_followed(shell: Shell) -> str:
    """The text of revision 1; afterwards revision 2 is in force."""
    old = await shell.does("export")
    assert old.startswith("# revision: 1\n")
    changed = shell.document("more.yaml", old, "attempts: 3", "attempts: 4")
    seen = await shell.does("diff", changed)
    assert "~ routes/shop  (retry)" in seen
    assert "+   attempts: 4" in seen
    tried = await shell.does("apply", changed, "--dry-run")
    assert "alb-1 (alb): would take it" in tried
    assert "it would be revision 2" in tried
    assert "add --yes" in await shell.does("apply", changed, code=2)
    assert await shell.revision() == 1

    done = await shell.does("apply", changed, "--yes", "--reason", "more tries")
    assert "revision 2 is in force" in done
    for name in ("alb-1", "alb-2", "nlb-1"):
        assert f"{name}: runs it" in done

    output = shell.folder / "now.yaml"
    await shell.does("export", "--output", str(output))
    assert "there is nothing to do" in await shell.does("apply", str(output), "--yes")
    assert json.loads(await shell.does("diff", "2", "--json"))["changes"][0]["fields"] == ["retry"]
    return old


async def conflicts_and_refusals_change_nothing(shell: Shell, old: str) -> None:
    clash = shell.document("clash.yaml", old, "attempts: 3", "attempts: 5")
    told = await shell.does("apply", clash, "--yes", code=1)
    assert re.search(r"routes/shop\.retry\S*: here .*, in force ", told)
    assert "`marchproxy export` has revision 2" in told

    beside = shell.document("beside.yaml", old, "interval: 1", "interval: 2")
    assert "what others have changed meanwhile stays" in await shell.does("apply", beside, "--dry-run")

    (shell.folder / "bad.yaml").write_text(old.replace("weight: 0", "weight: much", 1))
    assert "bad.yaml:" in await shell.does("apply", str(shell.folder / "bad.yaml"), "--yes", code=1)
    document = yaml.safe_load(old)
    document["pools"][0]["tls"] = {"ca": "/nowhere.pem"}
    (shell.folder / "refused.yaml").write_text(yaml.safe_dump(document))
    assert "tls.ca" in await shell.does("apply", str(shell.folder / "refused.yaml"), "--yes", code=1)
    assert await shell.revision() == 2

    away = ("--manager", f"http://127.0.0.1:{free_port()}")
    assert "nobody answers at" in await shell.does("revisions", *away, code=3)


async def one_goes_back(shell: Shell) -> None:
    done = await shell.does("rollback", "--yes")
    assert "-   attempts: 4" in done
    assert "revision 3 is in force" in done
    assert "no differences" in await shell.does("diff", "1", "3")
    listed = await shell.does("revisions")
    assert listed.index("back to revision 1") < listed.index("more tries")
    assert "no revision 77" in await shell.does("rollback", "77", "--yes", code=1)


async def a_login_is_a_key_that_logout_ends(shell: Shell) -> None:
    first = (shell.home / "initial-password").read_text()
    assert "is no manager" in await shell.types("login", shell.up.url, "--user", "admin", code=3)
    assert "not right" in await shell.types("login", shell.url, "--user", "admin", code=1, typed="guessed\n")
    said = await shell.types(
        "login", shell.url, "--name", "here", typed=f"admin\n{first}\n{GOOD}\n".replace("\n\n", "\n")
    )
    assert "admin (admin)" in said
    file = shell.folder / "config" / "marchproxy" / "config.yaml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert GOOD not in file.read_text()
    assert "back to revision 1" in await shell.types("revisions")
    assert shell.url in await shell.types("context", "list")
    kept = file.read_text()
    assert "logged out of" in await shell.types("logout")
    assert "local" in await shell.types("context", "list")
    file.write_text(kept)
    assert "log in again" in await shell.types("revisions", code=1)
    file.unlink()


async def a_canary_is_watched_to_its_end(shell: Shell) -> None:
    port = int(shell.up.ports["8000"])
    async with load(port, connections=6, pause=0.01, keep_alive=False) as tally:
        await tally.more(50)
        said = await shell.does(
            *(
                "canary",
                "start",
                "shop",
                "v2",
                "--steps",
                "50,100",
                "--interval",
                "0.5",
                "--min-requests",
                "5",
            )
        )
    assert "promoted at 100 %" in said
    assert 'revision 4: v2 promoted on route "shop"' in said
    assert "(revision 5)" in await shell.does("canary", "promote", "shop", "v1")
    assert "no rollout is under way" in await shell.does("canary", "rollback", "shop", code=1)


async def an_instance_is_drained(shell: Shell) -> None:
    assert "alb-2: no connections are open" in await shell.does("drain", "alb-2", "--wait", "20")
    assert "is the only alb" in await shell.does("drain", "alb-1", code=1)
    assert await shell.up.serves()
    await shell.does("drain", "alb-2", "--undrain")


async def top_shows_it(shell: Shell) -> None:
    once = await shell.does("top", "--once")
    for words in ("nlb-1 healthy", "alb-1", "alb-2", "shop-v1", "revision 5"):
        assert words in once
    assert len(json.loads(await shell.does("top", "--json"))["parts"]) == 2

    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    process = await asyncio.create_subprocess_exec(
        *MARCHPROXY,
        "top",
        *shell.key,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    seen = bytearray()

    def shows(words: str) -> bool:
        with suppress(OSError):  # nothing new
            seen.extend(os.read(ours, 65536))
        return words.encode() in seen

    try:
        await until(lambda: shows("q quit") and shows("Listeners"))
        seen.clear()
        os.write(ours, b"\x1b[D")
        await until(lambda: shows("nothing is scaled"))
        os.write(ours, b"q")
        async with asyncio.timeout(20):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        os.close(ours)


async def test_a_manager_elsewhere_is_trusted_by_its_certificate_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("MARCHPROXY_CONTEXT", raising=False)
    certificate = make_certificate(tmp_path, "localhost")
    tls = {"cert": str(certificate), "key": str(certificate.with_suffix(".key"))}
    async with manager_alone(tmp_path, tls=tls) as alone, typist() as hands:
        login = ("login", alone.url.replace("127.0.0.1", "localhost"), "--user", "admin")
        code, _, err = await hands.type(*login)
        assert (code, "--ca FILE" in err) == (3, True)
        typed = f"{alone.initial_password}\n{GOOD}\n"
        code, out, err = await hands.type(*login, "--ca", str(certificate), "--json", typed=typed)
        assert code == 0, err
        assert json.loads(out)["role"] == "admin"
        code, out, _ = await hands.type("revisions", "--json")
        assert (code, len(json.loads(out)["items"])) == (0, 1)
        key = str(alone.home / "local.key")
        assert (await hands.type("revisions", "--key-file", key))[0] == 0  # here its own certificate will do

        alone.process.send(signal.SIGKILL)
        await alone.process.ended(20)
        code, _, err = await hands.type("revisions")
        assert (code, "nobody answers at https://localhost" in err) == (3, True)
        code, _, err = await hands.type("revisions", "--key-file", key)
        assert (code, "no manager runs in that folder" in err) == (3, True)
        code, out, err = await hands.type("logout")
        assert (code, "is still good, end it in the UI" in err) == (0, True)


async def test_bash_completes_what_is_typed(tmp_path: Path) -> None:
    (tmp_path / "marchproxy").write_text(f'#!/bin/sh\nexec {sys.executable} -m marchproxy "$@"\n')
    (tmp_path / "marchproxy").chmod(0o755)
    script = """
        eval "$(marchproxy completion bash)" && complete -p marchproxy || exit 1
        COMP_WORDS=(marchproxy can) COMP_CWORD=1
        "$(complete -p marchproxy | sed 's/.*-F \\([^ ]*\\).*/\\1/')" marchproxy can marchproxy
        echo "found: ${COMPREPLY[*]}"
    """
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script),
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    assert process.returncode == 0
    assert "found: canary" in out.decode()
