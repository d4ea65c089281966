from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest

from marchproxy.kit.clock import SystemClock
from marchproxy.kit.grpc import ChannelPool, ChannelTls, GrpcServer, TlsSettings
from marchproxy.kit.settings import HostPort, SettingsError

from .conftest import EchoStub

CERTS = Path(__file__).parent / "certs"
CA, SERVER, CLIENT = CERTS / "ca.pem", CERTS / "server.pem", CERTS / "client.pem"
SERVER_KEY, CLIENT_KEY = CERTS / "server.key", CERTS / "client.key"


async def answers(address, tls):
    pool = ChannelPool(clock=SystemClock(), tls=tls)
    try:
        await pool.call(
            address, EchoStub, lambda stub, t: stub.Once(HealthCheckRequest(), timeout=t), timeout=5
        )
    except grpc.aio.AioRpcError:
        return False
    finally:
        await pool.close()
    return True


async def test_tls(start):
    _, address = await start(tls=TlsSettings(cert=SERVER, key=SERVER_KEY))
    assert await answers(address, ChannelTls(ca=CA))
    assert not await answers(address, None)


async def test_mutual_tls_wants_a_certificate(start):
    _, address = await start(tls=TlsSettings(cert=SERVER, key=SERVER_KEY, client_ca=CA))
    assert await answers(address, ChannelTls(ca=CA, cert=CLIENT, key=CLIENT_KEY))
    assert not await answers(address, ChannelTls(ca=CA))


@pytest.mark.parametrize(
    ("cert", "key", "client_ca", "message"),
    [
        ("/no/cert.pem", SERVER_KEY, None, "nlb.grpc.tls.cert: cannot read /no/cert.pem: No such file"),
        (SERVER, "/no/key.pem", None, "nlb.grpc.tls.key: cannot read /no/key.pem: No such file"),
        (SERVER, CLIENT_KEY, None, "nlb.grpc.tls: .* no PEM certificate and matching key"),
        (SERVER_KEY, SERVER_KEY, None, "nlb.grpc.tls: .* no PEM certificate and matching key"),
        (SERVER, SERVER_KEY, "/no/ca.pem", "nlb.grpc.tls.client_ca: cannot read"),
        (SERVER, SERVER_KEY, SERVER_KEY, "nlb.grpc.tls.client_ca: .* holds no PEM certificate"),
    ],
)
async def test_server_files_that_do_not_serve(cert, key, client_ca, message):
    tls = TlsSettings(cert=cert, key=key, client_ca=client_ca)
    server = GrpcServer(address=HostPort("127.0.0.1", 0), services=[], tls=tls, setting="nlb.grpc")
    with pytest.raises(SettingsError, match=message):
        await server.start()


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        (ChannelTls(ca="/no/ca.pem"), "tls.ca: cannot read /no/ca.pem"),
        (ChannelTls(ca=SERVER_KEY), "tls.ca: .* holds no PEM certificate"),
        (ChannelTls(ca=CA, cert=CLIENT), "tls: cert and key go together"),
        (ChannelTls(ca=CA, cert=CLIENT, key=SERVER_KEY), "tls: .* matching key"),
    ],
)
def test_channel_files_that_do_not_serve(tls, message):
    with pytest.raises(SettingsError, match=message):
        ChannelPool(clock=SystemClock(), tls=tls)
