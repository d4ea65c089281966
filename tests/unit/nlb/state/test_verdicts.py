"""What a module is asked about a listener."""

import pytest

from marchproxy.model.listener import Listener, TlsTermination
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.nlb.state.verdicts import about_listener

TLS = TlsTermination("/c.pem", "/k.pem")


@pytest.mark.parametrize(
    ("protocol", "tls", "asked"),
    [
        (Protocol.HTTPS, None, Protocol.HTTPS),
        (Protocol.HTTPS, TLS, Protocol.HTTP),  # what is left when TLS has ended
        (Protocol.RTMPS, TLS, Protocol.RTMP),
        (Protocol.GRPC, TLS, Protocol.GRPC),
    ],
)
def test_a_module_is_asked_for_what_it_would_get(protocol, tls, asked):
    route = about_listener(Listener("web", "0.0.0.0", 443, protocol, ModuleType.AILB, tls=tls))
    assert (route.protocol, route.module_type, route.listeners) == (asked, ModuleType.AILB, ("web",))
    assert route.destination_port == 443
