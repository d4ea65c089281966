"""The validator with judges that are scripts: what it asks, what it leaves behind, what an unfit judge does."""

import asyncio
import stat
from pathlib import Path

import pytest

from marchproxy.contract.document import decode
from marchproxy.engines.envoy.bootstrap import BootstrapSpec, render
from marchproxy.engines.envoy.validation import Unjudged, Validator
from marchproxy.engines.envoy.xds.snapshot import Snapshot, check
from marchproxy.kit.settings import HostPort
from marchproxy.modules.http.resources import Builder, ListenerSpec

BOOTSTRAP = render(BootstrapSpec("n", "c", HostPort("127.0.0.1", 0), Path("/run/ads.sock")))
REFUSES = "error initializing configuration 'x': "


def snapshot(*paths: str) -> Snapshot:
    routes = ", ".join(
        f"{{id: r{n}, path: {{regex: {path}}}, backends: [p]}}" for n, path in enumerate(paths)
    )
    state = decode(f"pools: [{{name: p}}]\nroutes: [{routes}]".encode())
    return check(Builder([ListenerSpec("http", "127.0.0.1", 10000)]).build(state))


def validator(folder: Path, script: str) -> Validator:
    """A judge that is given the file as $4."""
    judge = folder / "judge"
    judge.write_text(f"#!/bin/sh\necho . >> {folder}/runs\n{script}\n")
    judge.chmod(judge.stat().st_mode | stat.S_IXUSR)
    return Validator(judge, BOOTSTRAP, folder / "own")


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().split())


def refusing(word: str) -> str:
    return f'if grep -q {word} "$4"; then echo "{REFUSES}no: {word}" >&2; exit 1; fi'


async def test_what_was_judged_is_not_judged_again(tmp_path: Path) -> None:
    judge = validator(tmp_path, "exit 0")
    assert await judge.check(snapshot("/a", "/b")) == ()
    assert await judge.check(snapshot("/a", "/b")) == ()
    assert runs(tmp_path) == 1
    assert await judge.check(snapshot("/a", "/c")) == ()
    assert runs(tmp_path) == 2


async def test_a_route_like_those_that_were_judged_is_not_judged(tmp_path: Path) -> None:
    judge = validator(tmp_path, "exit 0")
    state = "pools: [{name: p}, {name: q}]\nroutes: [{id: a, path: /a, backends: [p]}"
    builder = Builder([ListenerSpec("http", "127.0.0.1", 10000)])
    await judge.check(check(builder.build(decode(f"{state}]".encode()))))
    another = ", {id: b, path: /b, backends: [q], timeout: 7s}]"
    assert await judge.check(check(builder.build(decode((state + another).encode())))) == ()
    assert runs(tmp_path) == 1


async def test_calls_at_the_same_time_share_what_they_find(tmp_path: Path) -> None:
    judge = validator(tmp_path, "exit 0")
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(judge.check(snapshot("/a")))
    assert runs(tmp_path) == 1


async def test_culprits_are_named_and_remembered(tmp_path: Path) -> None:
    judge = validator(tmp_path, refusing("wrong"))
    wanted = snapshot("/a", "/wrong", "/b", "/c-wrong")
    found = await judge.check(wanted)
    assert {(fault.part, fault.message) for fault in found} == {("r1", "no: wrong"), ("r3", "no: wrong")}
    spent = runs(tmp_path)
    assert await judge.check(wanted) == found
    assert await judge.check(snapshot("/a")) == ()
    assert runs(tmp_path) == spent  # the good ones among them passed on the way


async def test_another_binary_judges_anew(tmp_path: Path) -> None:
    judge = validator(tmp_path, refusing("wrong"))
    assert await judge.check(snapshot("/wrong"))
    validator(tmp_path, "exit 0 # another")
    (tmp_path / "own").mkdir(exist_ok=True)
    assert await judge.check(snapshot("/wrong")) == ()


async def test_files_are_for_this_user_only_and_do_not_stay(tmp_path: Path) -> None:
    judge = validator(tmp_path, f'stat -c %a "$4" > {tmp_path}/mode')
    (tmp_path / "own/left.pb").write_text("by a process that was killed")
    judge = validator(tmp_path, f'stat -c %a "$4" > {tmp_path}/mode')
    await judge.check(snapshot("/a"))
    assert (tmp_path / "mode").read_text() == "600\n"
    assert stat.S_IMODE((tmp_path / "own").stat().st_mode) == 0o700
    assert list((tmp_path / "own").iterdir()) == []


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("kill -9 $$", "ended with -9"),
        ("echo out of memory >&2; exit 3", "ended with 3: out of memory"),
    ],
)
async def test_no_judgement_is_no_refusal(tmp_path: Path, script: str, words: str) -> None:
    judge = validator(tmp_path, script)
    with pytest.raises(Unjudged, match=words):
        await judge.check(snapshot("/a"))


async def test_a_folder_that_is_gone_is_no_refusal(tmp_path: Path) -> None:
    judge = validator(tmp_path, "exit 0")
    (tmp_path / "own").rmdir()
    with pytest.raises(Unjudged, match="cannot be run"):
        await judge.check(snapshot("/a"))


async def test_a_judge_that_is_not_there(tmp_path: Path) -> None:
    judge = Validator(tmp_path / "nowhere", BOOTSTRAP, tmp_path / "own")
    with pytest.raises(Unjudged, match="cannot be run"):
        await judge.check(snapshot("/a"))


async def test_a_talkative_judge_is_not_blocked(tmp_path: Path) -> None:
    judge = validator(tmp_path, f'head -c 1000000 /dev/zero >&2; echo "{REFUSES}no" >&2; exit 1')
    found = await judge.check(snapshot("/a"))
    assert {fault.message for fault in found} == {"no"}


async def test_one_that_is_cancelled_is_ended(tmp_path: Path) -> None:
    judge = validator(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 600")
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        asking = group.create_task(judge.check(snapshot("/a")))
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            await asyncio.sleep(0.01)
        asking.cancel()
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
    assert list((tmp_path / "own").iterdir()) == []
