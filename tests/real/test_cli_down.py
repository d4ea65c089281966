"""`marchproxy down`: what runs is stopped, and what a killed `up` left is ended and removed."""

import asyncio
import json
import signal

from tests.real.nft_rig import make_net
from tests.real.support.process import naming, start
from tests.real.support.up import MARCHPROXY, Up, example, run


async def down(up: Up, *options: str, within: tuple[str, ...] = ()) -> tuple[int, dict, str]:
    """Its exit code, its answer, and what it said on the way."""
    command = ("down", str(up.file), "--state-dir", str(up.state), "--json", *options)
    code, out, err = await run(*command, within=within)
    return code, json.loads(out), err


def kinds(answer: dict) -> list[str]:
    return [one["kind"] for one in answer["ended"]]


async def parts_ready(up: Up) -> None:
    for part in ("alb-1", "nlb-1"):
        await up.says(f"{part}       ready")


async def kill_with_children(up: Up) -> None:
    """As when the machine ran out of memory: nobody could say goodbye, nor start anything again."""
    up.process.send(signal.SIGSTOP)
    killed = [up.part(kind) for kind in ("nlb", "alb")]
    for part in killed:
        part.kill()
    up.process.send(signal.SIGKILL)
    await up.process.ended(20)
    async with asyncio.timeout(20):
        while any(part in naming(up.state) for part in killed):
            await asyncio.sleep(0.05)


async def test_a_running_up_is_stopped_by_its_own_file_only(tmp_path):
    async with example(tmp_path) as up:
        process = await up.launch()
        await up.says("ready:  curl")

        other = tmp_path / "other.yaml"
        other.write_text(up.file.read_text())
        code, _, err = await run("down", str(other), "--state-dir", str(up.state))
        assert code == 1
        assert f"is the folder of {up.file}" in err

        code, answer, said = await down(up)
        assert code == 0, said
        assert kinds(answer) == ["up", "module", "nlb", "Envoy", "Envoy"]
        assert {one["how"] for one in answer["ended"]} == {"stopped"}
        assert answer["ended"][0]["pid"] == process.pid
        assert "stopping" in said
        assert await process.ended(20) == 0
        assert naming(up.state) == []
        words = process.log.read_text()
        assert words.index("alb-1       stopped") < words.index("nlb-1       stopping")

        code, out, _ = await run("down", str(up.file), "--state-dir", str(up.state))
        assert code == 0
        assert f"nothing of {up.file} is running" in out


async def test_what_a_killed_up_left_is_ended(tmp_path):
    async with example(tmp_path) as up:
        up.edit("protocol: http", "protocol: tcp\n    data_plane: detect")
        await up.launch()
        await parts_ready(up)
        await kill_with_children(up)
        left = naming(up.state)
        assert len(left) == 3
        bystander = await start(("tail", "-f", str(up.state / "running.yaml")), tmp_path / "tail.log")
        code, answer, said = await down(up)
        assert code == 0, said
        assert sorted(kinds(answer)) == ["Envoy", "Envoy", "relay worker"]
        assert {one["pid"] for one in answer["ended"]} == {process.pid for process in left}
        assert bystander.running
        await bystander.end()
        assert naming(up.state) == []


async def test_what_does_not_stop_is_killed_at_the_deadline(tmp_path):
    async with example(tmp_path) as up:
        await up.launch()
        await up.says("ready:  curl")
        up.process.send(signal.SIGSTOP)
        up.part("alb").suspend()
        code, answer, said = await down(up, "--timeout", "0.5")
        assert code == 0, said
        how = {one["kind"]: one["how"] for one in answer["ended"] if one["kind"] in {"up", "module"}}
        assert how == {"up": "killed", "module": "killed"}
        assert naming(up.state) == []


async def test_an_nlb_alone_counts_and_one_of_another_file_does_not(tmp_path):
    async with example(tmp_path) as up:
        up.edit("id: nlb-1", f"id: nlb-1\n  state_dir: {tmp_path / 'n'}")
        other = tmp_path / "other.yaml"
        other.write_text(up.file.read_text())
        alone = await start((*MARCHPROXY, "nlb", "-c", str(up.file)), tmp_path / "nlb.log")
        try:
            await until_written(tmp_path / "n" / "nlb-1" / "service.lock")
            code, out, _ = await run("down", str(other))
            assert code == 0
            assert "nothing of" in out
            code, out, err = await run("down", str(up.file))
            assert code == 0, err
            assert str(alone.pid) in out
            assert await alone.ended(20) == 0
            assert naming(tmp_path / "n") == []
        finally:
            await alone.end()


async def test_the_rules_of_a_killed_nlb_are_removed_where_they_are(tmp_path):
    with make_net() as net:
        within = ("ip", "netns", "exec", net.lb)
        async with example(tmp_path) as up:
            up.edit("module: alb", "module: alb\n    data_plane: kernel\n    balance: random")
            await up.launch(within)
            await parts_ready(up)
            assert "marchproxy" in net.run(net.lb, "nft", "list", "tables")
            await kill_with_children(up)
            assert "marchproxy" in net.run(net.lb, "nft", "list", "tables")

            code, answer, said = await down(up)  # ends the processes, but the rules are elsewhere
            assert code == 0, said
            assert answer["kernel_rules"] == {"nlb-1": "not in this network namespace"}
            assert "marchproxy" in net.run(net.lb, "nft", "list", "tables")

            code, answer, said = await down(up, within=within)
            assert code == 0, said
            assert answer["kernel_rules"] == {"nlb-1": "removed"}
            assert "marchproxy" not in net.run(net.lb, "nft", "list", "tables")
            assert (await down(up, within=within))[1]["kernel_rules"] == {}


async def until_written(path) -> None:
    async with asyncio.timeout(20):
        while not path.exists() or not path.stat().st_size:
            await asyncio.sleep(0.05)
