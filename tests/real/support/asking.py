"""Routes of an ALB under test, and questions to them. Each route has a host: `<route>.test`; `a--b` has the host of `a`."""

from typing import Any

import httpx

from tests.real.support.alb import Alb


def route_of(name: str, **fields: Any) -> dict[str, Any]:
    own = {"id": name, "hosts": [f"{name.partition('--')[0]}.test"], **fields}
    return own if {"redirect", "response", "backends"} & own.keys() else {**own, "backends": ["blue"]}


async def ask(
    alb: Alb, host: str, path: str = "/", method: str = "GET", *, source: str = "127.0.0.1", **options: Any
) -> httpx.Response:
    transport = httpx.AsyncHTTPTransport(local_address=source)
    async with httpx.AsyncClient(transport=transport, timeout=10) as client:
        headers = {"host": f"{host}.test", **options.pop("headers", {})}
        return await client.request(method, f"http://127.0.0.1:{alb.port}{path}", headers=headers, **options)


async def echo(alb: Alb, host: str, path: str = "/echo", **options: Any) -> dict[str, Any]:
    answer = await ask(alb, host, path, **options)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
