"""What is made of pools that answer, refuse, stall or talk nonsense when they are asked through the egress."""

import asyncio
from collections import defaultdict

import pytest

from marchproxy.model.ai import AiPool, Provider
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.modules.ailb.supervisor import probing

SAYS = {
    "good": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    "odd": b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
    "endless": b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n{",
    "refused": b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n",
    "down": b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n",
    "nonsense": b"hello\r\n\r\n",
    "gone": None,
    "silent": b"",
}


@pytest.fixture
async def egress(tmp_path):
    asked = defaultdict(list)

    async def answer(reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
            pool = fields["x-ai-cluster"].partition(".")[2]
            asked[pool].append(head.split()[1])
            if SAYS[pool] is not None:
                writer.write(SAYS[pool])
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(answer, tmp_path / "egress.sock")
    yield tmp_path / "egress.sock", asked
    server.close()


def pools(*names, **options):
    return [BackendPool(PoolName(name), ai=AiPool(**options)) for name in names]


async def test_each_pool_is_asked_and_what_it_says_is_told(egress, monkeypatch):
    monkeypatch.setattr(probing, "_PATIENCE", 0.3)
    socket, asked = egress
    found = await probing.probe(socket, [*pools(*SAYS), BackendPool(PoolName("plain"))])
    assert {name for name, probe in found.items() if probe.answered} == {"good", "odd", "endless"}
    assert found["good"].words.startswith("GET /v1/models answered 200 in ")
    assert found["refused"].words.endswith("see the pool's credential")
    assert "answered 503" in found["down"].words
    assert found["silent"].words == "GET /v1/models: no answer in time"
    for name in ("nonsense", "gone"):
        assert found[name].words.startswith("GET /v1/models: ")
    assert set(asked) == set(found) == set(SAYS)


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"provider": Provider.VLLM}, "/health"),
        ({"provider": Provider.SGLANG, "base_path": "/x"}, "/health"),
        ({"provider": Provider.OLLAMA}, "/v1/models"),
        ({"base_path": "/openai/v1"}, "/openai/v1/models"),
        ({"base_path": "/"}, "/models"),
    ],
)
async def test_what_is_asked(egress, options, path):
    socket, asked = egress
    await probing.probe(socket, pools("good", **options))
    assert asked["good"] == [path]


async def test_no_more_than_some_are_asked(egress, monkeypatch):
    monkeypatch.setattr(probing, "_MOST", 2)
    socket, _ = egress
    assert set(await probing.probe(socket, pools("good", "odd", "down"))) == {"good", "odd"}


async def test_without_an_envoy_no_pool_answers(tmp_path):
    found = await probing.probe(tmp_path / "none.sock", pools("good"))
    assert not found["good"].answered
    assert found["good"].words.startswith("GET /v1/models: ")
