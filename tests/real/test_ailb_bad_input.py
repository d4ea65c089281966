"""What is wrong with a request is said in the words of its API, with the right status, at once, and is counted."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
import pytest_asyncio

from tests.ports import free_port
from tests.real.ailb_rig import CLAUDE, GOOD, KEY, ailb, anthropic_client, document, key, openai_client
from tests.real.support.alb import Alb
from tests.real.support.engines import Engines, engines
from tests.real.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
OFF, OLD, NARROW = (f"mp-odd-{number:020d}" for number in range(3))
SAY = [{"role": "user", "content": "hello"}]
SOUND: dict[str, Any] = {"model": "sim", "messages": SAY, "max_tokens": 4}
LIMIT = 200_000


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engines]:
    async with engines(tmp_path_factory.mktemp("engine")) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, engine: Engines) -> AsyncIterator[Alb]:
    state = document(engine, engine, max_body_bytes=LIMIT)
    state["virtual_keys"] += [
        key("off", OFF, enabled=False),
        key("old", OLD, expires="2020-01-01T00:00:00Z"),
        key("narrow", NARROW, models=["claude*"]),
    ]
    state["guardrails"] = [{"name": "judge", "kind": "http", "url": f"http://127.0.0.1:{free_port()}/"}]
    guarded = {"models": [{"name": "sim", "targets": [GOOD]}], "guardrails": ["judge"]}
    state["routes"].append({"id": "guarded", "path": "/guarded", "ai": guarded})
    async with ailb(tmp_path_factory.mktemp("ailb"), state) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(gateway: Alb) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{gateway.port}", trust_env=False, timeout=10
    ) as made:
        yield made


def but(**fields: Any) -> bytes:
    """A good request, but for these."""
    changed = {**SOUND, **fields}
    return json.dumps({name: value for name, value in changed.items() if value is not ...}).encode()


#: body, status in both APIs, what the message has in it
BODIES: list[tuple[str, bytes, int, str]] = [
    ("empty", b"", 400, ""),
    ("no JSON", b'{"model": "sim", ', 400, "JSON"),
    ("an array", b"[]", 400, ""),
    ("no UTF-8", b'{"model": "sim\xff"}', 400, "UTF-8"),
    ("a number that is none", but().replace(b"4}", b"NaN}"), 400, "JSON"),
    ("twice", b'{"model": "sim", "model": "other", "messages": []}', 400, "twice"),
    ("nested", b'{"model":' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400, ""),
    ("no model", but(model=...), 400, "model"),
    ("a model that is no text", but(model=7), 400, ""),
    ("a model that nobody has", but(model="gpt-99"), 404, "gpt-99"),
    ("no messages", but(messages=...), 400, "messages"),
    ("messages that are none", but(messages="hello"), 400, ""),
    ("a message that is none", but(messages=["hello"]), 400, ""),
    ("a maximum that is none", but(max_tokens="many"), 400, ""),
    ("less than nothing", but(max_tokens=-1), 400, ""),
    ("a stream that is none", but(stream="yes"), 400, ""),
    ("tools that are none", but(tools={"name": "x"}), 400, ""),
    ("too large", but(messages=[{"role": "user", "content": "x" * LIMIT}]), 413, ""),
    ("huge schemas", but(tools=[{"name": "x", "description": "y" * LIMIT}]), 413, ""),
]


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize(
    ("body", "status", "words"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES]
)
async def test_bodies(client: httpx.AsyncClient, path: str, body: bytes, status: int, words: str) -> None:
    answer = await client.post(path, content=body, headers=shown())
    assert answer.status_code == status, answer.text
    assert words in _told(answer, path)
    assert status == 413 or "connection" not in answer.headers  # nobody is hung up on for what is only wrong


def shown(secret: str = KEY) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}", "content-type": "application/json"}


def _told(answer: httpx.Response, path: str) -> str:
    """The message, from the shape of an error that the path's API has."""
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    if path == MESSAGES:
        assert body["type"] == "error"
        assert set(body["error"]) >= {"type", "message"}
    else:
        assert set(body) == {"error"}
        assert set(body["error"]) >= {"message", "type", "param", "code"}
    message: str = body["error"]["message"]
    assert message
    return message


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize(
    ("secret", "status"),
    [("", 401), ("nobody's", 401), (OFF, 401), (OLD, 401), (NARROW, 403), ("x" * 5000, 401)],
)
async def test_keys(client: httpx.AsyncClient, path: str, secret: str, status: int) -> None:
    headers = shown(secret) if secret else {"content-type": "application/json"}
    answer = await client.post(path, content=but(), headers=headers)
    assert answer.status_code == status, answer.text
    told = _told(answer, path)
    assert not secret or secret not in told


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", CHAT, 405), ("PUT", MESSAGES, 405), ("POST", "/v1/nothing", 404), ("GET", "/", 404)],
)
async def test_what_nobody_serves(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await client.request(method, path, headers=shown())
    assert answer.status_code == status, answer.text
    assert _told(answer, path)


async def test_a_compressed_body_is_refused(client: httpx.AsyncClient) -> None:
    headers = {**shown(), "content-encoding": "gzip"}
    answer = await client.post(CHAT, content=gzip.compress(but()), headers=headers)
    assert answer.status_code == 415, answer.text
    assert "gzip" in _told(answer, CHAT)


async def test_a_client_cannot_say_what_only_we_may(client: httpx.AsyncClient, engine: Engines) -> None:
    ours = {"x-ai-pools": "AAAA", "x-ai-id": "1", "x-envoy-max-retries": "0", "x-ai-host": "127.0.0.1:1"}
    answer = await client.post(CHAT, content=but(user="lies"), headers={**shown(), **ours})
    assert answer.status_code == 200, answer.text
    assert len(await engine.requests("lies")) == 1


async def test_who_is_refused_for_now_is_told_so_in_the_words_of_its_api(gateway: Alb) -> None:
    """With the status that makes the official clients come back, and when; not in words of Envoy's."""
    base = f"http://127.0.0.1:{gateway.port}/guarded"
    words = "the guardrail 'judge' does not answer: try again in 1 s"
    async with openai_client(gateway, base_url=f"{base}/v1") as client:
        with pytest.raises(openai.InternalServerError) as refused:
            await client.chat.completions.create(**SOUND)
    answer = refused.value.response
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"] == {
        "message": words, "type": "server_error", "param": None, "code": "overloaded",
    }  # fmt: skip
    async with anthropic_client(gateway) as other:
        with pytest.raises(anthropic.InternalServerError) as overloaded:
            await other.with_options(base_url=base).messages.create(**SOUND)
    answer = overloaded.value.response
    assert (answer.status_code, answer.headers["retry-after"]) == (529, "1")
    assert answer.json()["error"] == {"type": "overloaded_error", "message": words}
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("path", "model", "pool"),
    [(CHAT, "sim", GOOD), (MESSAGES, "sim", GOOD), (CHAT, "claude", CLAUDE), (MESSAGES, "claude", CLAUDE)],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_credential_of_ours_that_is_refused_is_not_the_clients_key(
    gateway: Alb, client: httpx.AsyncClient, path: str, model: str, pool: str, stream: bool
) -> None:
    """Past the relays, through them, and in another dialect than the provider's."""
    body = but(model=f"{model}+status-401", stream=stream)
    answer = await client.post(path, content=body, headers=shown())
    assert answer.status_code == 502, answer.text
    words = f"the provider refuses the gateway's credential for the pool {pool} (status 401)"
    assert _told(answer, path) == words
    assert answer.headers["x-marchproxy-provider-status"] == "401"
    counted = f'gen_ai_request_model="{model}+status-401",pool="{pool}",key="main",status="401"}}'

    async def is_counted() -> bool:
        text = (await client.get(f"http://127.0.0.1:{gateway.metrics}/metrics")).text
        return f"{counted} " in text

    await until(is_counted)
    logs = [log.read_text() for log in Path(gateway.settings["state_dir"]).rglob("*.log")]
    assert any(f'"pool": "{pool}", "status": 401' in log for log in logs)


@pytest.mark.parametrize("fault", ["garbage", "garbage-0", "eof", "status-500"])
@pytest.mark.parametrize("stream", [True, False])
async def test_an_engine_that_talks_nonsense(client: httpx.AsyncClient, fault: str, stream: bool) -> None:
    """An error in the API's shape, as the answer or as its last event; never a hang."""
    body = but(model=f"sim+{fault}", stream=stream)
    answer = await client.post(CHAT, content=body, headers=shown())
    if stream and answer.status_code == 200:
        events = [event.removeprefix("data: ") for event in answer.text.split("\n\n")]
        assert any(
            event.startswith('{"error":') and json.loads(event)["error"]["message"] for event in events
        )
    elif answer.status_code != 200:
        assert answer.status_code in {500, 502, 503, 504}
        assert answer.json()["error"]["message"]


async def test_an_upload_that_never_ends_takes_nobody_elses_place(
    gateway: Alb, client: httpx.AsyncClient
) -> None:
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: 100000\r\n\r\n{{"
    )
    writers = []
    for _ in range(50):
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(head.encode())
        writers.append(writer)
    try:
        answer = await client.post(CHAT, content=but(), headers=shown())
        assert answer.status_code == 200
    finally:
        for writer in writers:
            writer.close()
