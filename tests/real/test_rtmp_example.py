"""`examples/streaming.yaml` as people use it, by Envoy and by the kernel: up, a stream that is played and watched, down.

All of it runs in a network namespace; publishers and players are in another one.
"""

import asyncio
import json
import re
import shlex
import signal
from pathlib import Path

import psutil

from tests.real.nft_rig import CLIENT, LB, make_net
from tests.real.support.process import Started, kill_left, naming, start
from tests.real.support.rtmp import make_flv
from tests.real.support.up import Up, run
from tests.real.support.waiting import until

_EXAMPLE = Path(__file__).parents[2] / "examples" / "streaming.yaml"
_KERNEL = 1937
_LISTENER = f"""
  - name: kernel
    address: 0.0.0.0:{_KERNEL}
    protocol: rtmp
    module: rtmp
    data_plane: kernel
    balance: source_hash
"""


async def test_what_its_head_says(tmp_path: Path) -> None:
    film = await make_flv(tmp_path / "film.flv")
    up, publishers = Up(tmp_path, {}), []
    _write(up.file, tmp_path / "keys")
    with make_net() as net:
        within, beside = ("ip", "netns", "exec", net.lb), ("ip", "netns", "exec", net.client)
        try:
            await up.launch(within)
            await up.says("Ctrl-C stops it", within=60)
            publishers += [
                await start([*beside, *_publish_command()], tmp_path / "live.log"),
                await start(
                    [*beside, *_loop(film, _url(_KERNEL, "other?key=first-steps"))], tmp_path / "other.log"
                ),
            ]
            refused = await start(
                [*beside, *_loop(film, _url(1935, "wrong?key=wrong"))], tmp_path / "wrong.log"
            )
            await _shows_streams(up, within, publishers)
            assert await refused.ended(20) != 0
            async with asyncio.TaskGroup() as group:
                group.create_task(_is_watched(beside))
                explained = group.create_task(
                    run("explain", "rtmp://127.0.0.1:1935/live/test", within=within)
                )
            code, said, _ = explained.result()
            assert code == 0, said
            assert "→ rtmp-1" in said
            await _ends_all(up, within, publishers)
        finally:
            for process in (*publishers, *filter(None, [up.process])):
                await process.end()
            kill_left(up.state)


def _write(file: Path, keys: Path) -> None:
    """The example, where clients of the kernel's plane reach the module themselves, and nobody waits for long."""
    keys.write_text((_EXAMPLE.parent / "streaming-keys.txt").read_text())
    keys.chmod(0o600)
    text = _EXAMPLE.read_text()
    for old, new in (
        ("/etc/marchproxy/streams.txt", str(keys)),
        (" traffic: 127.0.0.1:", f" traffic: {LB}:"),
        ("    type: rtmp\n", "    type: rtmp\n    drain_seconds: 2\n    metrics_interval: 0.5\n"),
        ("\nauthentication:", f"{_LISTENER}\nauthentication:"),
    ):
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)


def _publish_command() -> list[str]:
    """That of the example's head, for a smaller picture."""
    head = re.sub(r"^# ?", "", _EXAMPLE.read_text(), flags=re.MULTILINE).replace("\\\n", "")
    (command,) = re.findall(r"^ *(ffmpeg .*)$", head, re.MULTILINE)
    small = command.replace("1280x720", "192x108").replace("127.0.0.1", LB)
    return [*shlex.split(small)[:1], "-v", "error", "-nostdin", *shlex.split(small)[1:]]


def _loop(film: Path, url: str) -> list[str]:
    words = ["ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(film)]
    return [*words, "-c", "copy", "-f", "flv", url]


def _url(port: int, stream: str) -> str:
    return f"rtmp://{LB}:{port}/live/{stream}"


async def _shows_streams(up: Up, within: tuple[str, ...], publishers: list[Started]) -> None:
    """Both are there, with the addresses of their publishers."""

    async def are_there() -> bool:
        assert all(publisher.running for publisher in publishers), publishers[0].log.read_text()
        _, said, _ = await run("get", "streams", "--json", within=within)
        found = json.loads(said)["instances"].get("rtmp-1", {}).get("streams", [])
        clients = {one["key"]: one["publisher"].rpartition(":")[0] for one in found if one["width"]}
        return clients == {"/live/test": CLIENT, "/live/other": CLIENT}

    await until(are_there, 40)


async def _is_watched(beside: tuple[str, ...]) -> None:
    for url in (f"http://{LB}:8088/live/test/index.m3u8", f"http://{LB}:8088/live/other/manifest.mpd"):

        async def answers(url: str = url) -> bool:
            process = await asyncio.create_subprocess_exec(
                *beside, "curl", "-sSf", "-o", "/dev/null", "--max-time", "20", url
            )
            async with asyncio.timeout(30):
                return await process.wait() == 0

        await until(answers, 40)


async def _ends_all(up: Up, within: tuple[str, ...], publishers: list[Started]) -> None:
    """`down`, after all that could have ended the rest was killed."""
    assert up.process is not None
    up.process.send(signal.SIGSTOP)
    parts = [up.part(kind) for kind in ("nlb", "rtmp")]
    for part in parts:
        part.kill()
    up.process.send(signal.SIGKILL)
    await up.process.ended(5)
    psutil.wait_procs(parts, timeout=10)
    command = ("down", str(up.file), "--state-dir", str(up.state), "--json")
    code, said, trouble = await run(*command, within=within)
    assert code == 0, trouble
    kinds = {one["kind"] for one in json.loads(said)["ended"]}
    assert kinds == {"RTMP worker", "RTMP playback", "Envoy"}
    assert naming(up.state) == []
    for publisher in publishers:
        assert await publisher.ended(20) != 0
