"""`marchproxy xds` and certificates: given to nodes that show who they are, and renewed without a reload."""

import asyncio
import shutil

from tests.ports import free_port
from tests.real.support.certificates import make_certificate, s_client
from tests.real.support.https import curl
from tests.real.xds_rig import Credentials, backend, running_envoy
from tests.real.xds_service_rig import PATIENCE, Service


def document(folder, port: int, listening: int, **xds) -> dict:
    tls = {"certificate": str(folder / "web.crt"), "key": str(folder / "web.key")}
    return {
        "listeners": [{"name": "web", "address": f"127.0.0.1:{listening}", "tls": tls}],
        "routes": [{"id": "all", "backends": ["p"]}],
        "pools": [{"name": "p", "endpoints": [f"127.0.0.1:{port}"]}],
        "xds": xds,
    }


async def until_shown(port: int, name: str) -> str:
    """Wait until a certificate of that name is shown."""
    shown = ""
    async with asyncio.timeout(PATIENCE):
        while f"CN = {name}" not in shown and f"CN={name}" not in shown:
            shown = await s_client(port, "-servername", "web.test")
            await asyncio.sleep(0.05)
    return shown


def put(folder, name: str) -> None:
    """Make another certificate that of the listener, the key first, as a renewal may."""
    made = make_certificate(folder, name)
    shutil.copy(made.with_suffix(".key"), folder / "web.key")
    shutil.copy(made, folder / "web.crt")


async def test_a_node_that_shows_who_it_is_serves_https_and_takes_a_renewed_certificate(tmp_path):
    put(tmp_path, "one.test")
    plane, node = (make_certificate(tmp_path, name) for name in ("plane.test", "node.test"))
    tls = {"cert": str(plane), "key": str(plane.with_suffix(".key")), "client_ca": str(node)}
    listening = free_port()
    async with backend("v1") as port:
        service = Service(tmp_path, document(tmp_path, port, listening, tls=tls))
        credentials = Credentials(plane, node, node.with_suffix(".key"))
        async with (
            service.running(),
            running_envoy(tmp_path, service.port, "DELTA_GRPC", credentials=credentials) as envoy,
        ):
            await until_shown(listening, "one.test")
            answer = await curl(listening, "https://one.test/", ca=tmp_path / "one.test.crt")
            assert (answer.status, answer.version, answer.body) == (200, "HTTP/2", "v1")
            changes = await envoy.changes()
            put(tmp_path, "two.test")
            await until_shown(listening, "two.test")
            assert await envoy.changes() == changes  # no listener was replaced, and no connection ended

            (tmp_path / "web.crt").write_text("half a cert")
            async with asyncio.timeout(PATIENCE):
                while "not put in force" not in service.log.read_text():
                    await asyncio.sleep(0.05)
            assert "listeners[0].tls.certificate" in service.log.read_text()
            await until_shown(listening, "two.test")
        for secret in ("PRIVATE KEY", "BEGIN CERTIFICATE"):
            assert secret not in service.log.read_text()


async def test_without_certificates_of_nodes_no_key_is_offered(tmp_path):
    put(tmp_path, "one.test")
    service = Service(tmp_path, document(tmp_path, 9, free_port()))
    async with service.running():
        assert (
            "listener web is left out: `tls` of a listener is offered only to nodes that"
            in service.log.read_text()
        )
