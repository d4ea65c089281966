"""What every request keeps to, with a small application behind it."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from prometheus_client import CollectorRegistry

from marchproxy.manager.web import Guard, Rules


def application(begun: asyncio.Event | None = None) -> FastAPI:
    app = FastAPI()

    @app.post("/api/v1/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    @app.get("/api/v1/never")
    async def never() -> None:
        await asyncio.Event().wait()

    @app.get("/api/v1/stream")
    async def stream() -> StreamingResponse:
        async def events():
            yield "data: 1\n\n"
            if begun is not None:
                begun.set()
            await asyncio.Event().wait()

        return StreamingResponse(events(), media_type="text/event-stream")

    @app.get("/")
    async def page() -> HTMLResponse:
        return HTMLResponse("hello", headers={"Cache-Control": "max-age=9", "X-Frame-Options": "SAMEORIGIN"})

    @app.get("/raises")
    async def raises() -> None:
        raise TimeoutError("of its own")

    return app


def guard(app=None, **rules) -> Guard:
    return Guard(
        app or application(), Rules(**({"max_body": 10, "seconds": 20.0} | rules)), CollectorRegistry()
    )


def client(app) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://manager:8000")


async def pieces(*parts: bytes):
    for part in parts:
        yield part


async def test_a_body_has_a_limit_said_or_unsaid():
    async with client(guard()) as http:
        assert (await http.post("/api/v1/echo", content=b"1234567890")).json() == 10
        for content in (b"12345678901", pieces(b"123456", b"789012")):
            answer = await http.post("/api/v1/echo", content=content)
            assert answer.status_code == 413
            assert "10 bytes" in answer.json()["detail"]


async def test_an_answer_has_a_deadline():
    async with client(guard(seconds=0.01)) as http:
        answer = await http.get("/api/v1/never")
    assert answer.status_code == 504
    assert answer.headers["content-type"] == "application/problem+json"
    assert "look again" in answer.json()["detail"]


async def test_a_timeout_of_the_application_is_its_own():
    async with client(guard()) as http:
        with pytest.raises(TimeoutError, match="of its own"):
            await http.get("/raises")


async def test_streams_have_no_deadline_and_end_with_the_server():
    begun = asyncio.Event()
    outer = guard(application(begun), seconds=0.01)
    async with client(outer) as http, asyncio.TaskGroup() as group, asyncio.timeout(20):
        asking = group.create_task(http.get("/api/v1/stream"))
        await begun.wait()
        await asyncio.sleep(0.05)
        assert not asking.done()
        outer.end_streams()
        answer = await asking
    assert (answer.status_code, answer.text) == (200, "data: 1\n\n")


async def test_pages_of_others_change_nothing():
    async with client(guard()) as http:
        for origin, status in (("http://evil.example", 403), ("http://manager:8000", 200)):
            answer = await http.post("/api/v1/echo", headers={"origin": origin})
            assert answer.status_code == status


@pytest.mark.parametrize(("origin", "accepted"), [("http://evil.example", False), ("http://manager", True)])
async def test_websockets_are_for_our_pages(origin, accepted):
    sent, reached = [], []

    async def inner(scope, receive, send):
        reached.append(scope["type"])

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message["type"])

    headers = [(b"host", b"manager"), (b"origin", origin.encode())]
    await guard(inner)({"type": "websocket", "path": "/ws", "headers": headers}, receive, send)
    assert (reached, sent) == ((["websocket"], []) if accepted else ([], ["websocket.close"]))


async def test_what_browsers_are_told():
    async with client(guard()) as http:
        page, answer = await http.get("/"), await http.post("/api/v1/echo")
        unknown = await http.get("/api/v1/unknown")
    assert page.headers["cache-control"] == "max-age=9"  # the application's own stand
    assert page.headers["x-frame-options"] == "SAMEORIGIN"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    for one in (answer, unknown):
        assert one.headers["content-security-policy"].startswith("default-src 'none'")
        assert one.headers["cache-control"] == "no-store"
        assert one.headers["x-content-type-options"] == "nosniff"
    assert "strict-transport-security" not in page.headers
    async with client(guard(secure=True)) as http:
        assert "strict-transport-security" in (await http.get("/")).headers


async def test_requests_are_counted():
    registry = CollectorRegistry()
    outer = Guard(application(), Rules(max_body=10, seconds=20), registry)
    async with client(outer) as http:
        await http.get("/")
        await http.post("/api/v1/echo", content=b"x" * 11)
        await http.request("BREW", "/")

    def count(**labels):
        return registry.get_sample_value("marchproxy_manager_http_requests_total", labels)

    assert count(method="GET", status="200") == 1
    assert count(method="POST", status="413") == 1
    assert count(method="other", status="405") == 1
