"""The ways of a relay follow the files of keys that providers are shown."""

from pathlib import Path

from marchproxy.contract.document import decode
from marchproxy.model.module import PoolName
from marchproxy.model.pool import Endpoint
from marchproxy.model.state import DesiredState
from marchproxy.modules.ailb.relay.wayfinder import Wayfinder


def state(file: Path) -> DesiredState:
    return decode(
        f"""
routes: [{{id: llm, path: /, ai: {{models: [{{name: a, targets: [keyed, {{pool: claude, tier: 1}}]}}]}}}}]
pools:
  - {{name: keyed, endpoints: ["127.0.0.1:1"], ai: {{provider: vllm, credential: {file}}}}}
  - {{name: claude, endpoints: ["127.0.0.1:1"], ai: {{provider: anthropic, credential: {file}}}}}
""".encode()
    )


async def test_a_renewed_key_is_shown_and_one_that_is_none_is_not(tmp_path: Path) -> None:
    file, found = tmp_path / "key", Wayfinder()
    file.write_text("sk-1\n")
    ways = await found.follow(state(file), {})
    assert [way.shown for way in ways.pools.values()] == [
        (b"authorization", b"Bearer sk-1"),
        (b"x-api-key", b"sk-1"),
    ]
    assert await found.look() is None

    file.write_text("sk-22\n")
    renewed = await found.look()
    assert renewed is not None
    assert renewed.pools["claude"].shown == (b"x-api-key", b"sk-22")

    file.write_text("two words\n")
    kept = await found.look()
    assert kept is None or kept.pools["claude"].shown == (b"x-api-key", b"sk-22")


async def test_who_has_no_key_leaves_it_to_envoy(tmp_path: Path) -> None:
    found = Wayfinder()
    assert found.move({}) is None
    assert await found.look() is None
    ways = await found.follow(state(tmp_path / "none"), {})
    assert {(way.places, way.shown) for way in ways.pools.values()} == {((), None)}


async def test_endpoints_move_and_keys_stay(tmp_path: Path) -> None:
    file, found = tmp_path / "key", Wayfinder()
    file.write_text("sk-1")
    await found.follow(state(file), {})
    moved = found.move({PoolName("keyed"): (Endpoint("127.0.0.1:2"),)})
    assert moved is not None
    assert (moved.pools["keyed"].places, moved.pools["keyed"].shown) == (
        ("127.0.0.1:2",),
        (b"authorization", b"Bearer sk-1"),
    )
