"""What senders say by the PROXY protocol is what readers read."""

import pytest

from marchproxy.wire.proxy_greeting import greeting
from marchproxy.wire.proxy_protocol import Address, Header, parse

V4, V6 = Address("192.0.2.7", 4321), Address("2001:db8::7", 4321)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("source", "destination", "read"),
    [
        (V4, Address("10.0.0.1", 1935), Address("10.0.0.1", 1935)),
        (V6, Address("2001:db8::1", 1935), Address("2001:db8::1", 1935)),
        (V4, Address("2001:db8::1", 1935), Address("0.0.0.0", 1935)),
        (V6, Address("10.0.0.1", 1935), Address("::", 1935)),
        (V4, None, Address("0.0.0.0", 0)),
    ],
)
def test_addresses(version, source, destination, read):
    said = greeting(version, source, destination)
    assert parse(said) == Header(len(said), source, read)
    assert parse(said[:-1]) is None


@pytest.mark.parametrize("version", [1, 2])
def test_a_connection_of_its_own(version):
    said = greeting(version)
    assert parse(said) == Header(len(said))
