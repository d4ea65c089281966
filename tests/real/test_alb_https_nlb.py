"""HTTPS and HTTP/3 through a whole NLB to the ALB, by every data plane that can carry them; the client's address is kept.

NLB and ALB run in a network namespace, by the command that people use; the clients are in another one.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from tests.authority import Authority
from tests.real.nft_rig import CLIENT, LB, Net, make_net, make_socket
from tests.real.support.backends import Backend
from tests.real.support.process import kill_left, start
from tests.real.support.system import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOST = "web.test"
KERNEL, ENVOY, DETECT, ENDED, PLAIN = 8441, 8442, 8443, 8444, 8445
ALB_TLS, ALB_PLAIN = 10443, 10080


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    with make_net() as made:
        yield made


@dataclass
class World:
    net: Net
    ca: Path

    async def command(self, *words: str) -> tuple[int, str]:
        """Run it where the client is."""
        process = await asyncio.create_subprocess_exec(
            *("ip", "netns", "exec", self.net.client, *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(40):
            out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode()

    async def curl(self, port: int, *options: str, scheme: str = "https") -> tuple[int, str]:
        """The exit code, and the answer with its headers."""
        trust = ("--cacert", str(self.ca), "--connect-to", f"::{LB}:{port}")
        return await self.command(
            *("curl", "-sSi", "--max-time", "10", *trust, *options, f"{scheme}://{HOST}:{port}/echo")
        )

    async def http3(self, port: int) -> tuple[int, str]:
        """The exit code, and status and body of the answer."""
        program = (sys.executable, "-m", "tests.real.support.http3")
        return await self.command(*program, LB, str(port), HOST, str(self.ca), "/echo")


def document(folder: Path, backend: str, files: dict[str, str]) -> dict:
    balance = {"balance": "random"}
    listeners = [
        {
            "name": "kernel",
            "address": f"0.0.0.0:{KERNEL}",
            "protocol": "https",
            "data_plane": "kernel",
            **balance,
        },
        {"name": "envoy", "address": f"0.0.0.0:{ENVOY}", "protocol": "https", "data_plane": "envoy"},
        {"name": "detect", "address": f"0.0.0.0:{DETECT}", "protocol": "https", "data_plane": "detect"},
        {
            "name": "kernel-3",
            "address": f"0.0.0.0:{KERNEL}",
            "protocol": "http3",
            "data_plane": "kernel",
            **balance,
        },
        {"name": "envoy-3", "address": f"0.0.0.0:{ENVOY}", "protocol": "http3", "data_plane": "envoy"},
        {"name": "ended", "address": f"0.0.0.0:{ENDED}", "protocol": "https", "tls": files},
        {"name": "plain", "address": f"0.0.0.0:{PLAIN}", "protocol": "http", "data_plane": "envoy"},
    ]
    alb = {
        "id": "alb-1",
        "type": "alb",
        "grpc": "127.0.0.1:50051",
        "nlbs": ["127.0.0.1:50050"],
        "traffic": f"{LB}:{ALB_PLAIN}",
        "proxy_traffic": "127.0.0.1:10001",
        "tls_traffic": f"{LB}:{ALB_TLS}",
        "tls_proxy_traffic": "127.0.0.1:10444",
        "http3": True,
        "https": {
            "certificates": [files],
            "hsts": {},
            "redirect_http": True,
            "public_port": ENVOY,
            "tls_ended_ports": [ENDED],
        },
        "envoy": {"concurrency": 1, "admin": "127.0.0.1:9903"},
        "heartbeat_interval": 1,
        "drain_seconds": 1,
        "state_dir": str(folder / "s"),
    }
    return {
        "nlb": {"state_dir": str(folder / "s"), "heartbeat_interval": 1, "drain_seconds": 1},
        "modules": [alb],
        "listeners": listeners,
        "routes": [{"id": "web", "backends": ["web"]}],
        "pools": [{"name": "web", "endpoints": [backend]}],
    }


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory, net: Net) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("nlb")
    authority = Authority(folder)
    files = authority.issue("web", [HOST]).settings
    sock = make_socket(net.lb, LB)
    server = await asyncio.start_server(Backend("a")._serve, sock=sock)
    file = folder / "up.yaml"
    file.write_text(yaml.safe_dump(document(folder, "{}:{}".format(*sock.getsockname()), files)))
    command = (sys.executable, "-m", "marchproxy", "up", str(file), "--state-dir", str(folder / "s"))
    process = await start(("ip", "netns", "exec", net.lb, *command), folder / "up.log")
    try:
        found = World(net, authority.certificate)
        for port in (KERNEL, ENVOY, DETECT, ENDED):
            async with asyncio.timeout(40):
                while (await found.curl(port))[0] != 0:
                    assert process.running, process.log.read_text()
        yield found
    finally:
        await process.end()
        server.close()
        kill_left(folder)


def seen(answer: str) -> dict[str, str]:
    """The headers that the backend got."""
    headers: dict[str, str] = json.loads(answer[answer.index("{") :])["headers"]
    return headers


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("port", [KERNEL, ENVOY, DETECT], ids=["kernel", "envoy", "detect"])
async def test_tls_passes_through_to_the_alb(world: World, port: int, version: str) -> None:
    code, answer = await world.curl(port, version)
    assert code == 0, answer
    assert answer.startswith("HTTP/2 200" if version == "--http2" else "HTTP/1.1 200")
    assert f'alt-svc: h3=":{ENVOY}"; ma=86400' in answer
    assert "strict-transport-security: max-age=31536000" in answer
    headers = seen(answer)
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == (CLIENT, "https")


@pytest.mark.parametrize(("port", "client"), [(KERNEL, CLIENT), (ENVOY, LB)], ids=["kernel", "envoy"])
async def test_http3_passes_through_to_the_alb(world: World, port: int, client: str) -> None:
    """Over UDP nothing tells the client's address but the packets themselves, which the kernel keeps."""

    async def served() -> bool:
        return (await world.http3(port))[0] == 0

    await until(served, 40)
    _, answer = await world.http3(port)
    assert answer.startswith("200 ")
    headers = seen(answer)
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == (client, "https")


async def test_tls_that_ended_at_the_nlb_is_https_all_the_same(world: World) -> None:
    code, answer = await world.curl(ENDED)
    assert code == 0, answer
    assert answer.startswith("HTTP/2 200")
    assert "strict-transport-security: max-age=31536000" in answer
    headers = seen(answer)
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == (CLIENT, "https")


async def test_plain_http_is_sent_to_the_nlb_s_port_of_https(world: World) -> None:
    async def redirected() -> bool:
        return (await world.curl(PLAIN, scheme="http"))[1].startswith("HTTP/1.1 308")

    await until(redirected, 40)
    code, answer = await world.curl(PLAIN, scheme="http")
    assert (code, f"location: https://{HOST}:{ENVOY}/echo" in answer) == (0, True)
