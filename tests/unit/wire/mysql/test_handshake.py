"""What opens a session is read as it is written; and proofs fit their passwords, and no others."""

import pytest

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql import proofs
from marchproxy.wire.mysql.handshake import (
    Greeting,
    Login,
    auth_switch,
    read_auth_switch,
    read_change_user,
    read_greeting,
    read_login,
    ssl_request,
    wants_tls,
)
from marchproxy.wire.mysql.numbers import Capability
from marchproxy.wire.mysql.packets import Packets, Reader, counted, length_encoded, packet

NONCE = b"abcdefghijklmnopqrst"
SPOKEN = int(
    Capability.PROTOCOL_41 | Capability.SECURE_CONNECTION | Capability.PLUGIN_AUTH
    | Capability.CONNECT_WITH_DB | Capability.PLUGIN_AUTH_LENENC
)  # fmt: skip


def test_a_greeting():
    greeting = Greeting("10.11.19-MariaDB", 7, NONCE, SPOKEN, plugin=proofs.CACHING)
    assert read_greeting(greeting.encode()) == greeting


@pytest.mark.parametrize("capabilities", [SPOKEN, SPOKEN & ~Capability.PLUGIN_AUTH_LENENC])
def test_a_login(capabilities):
    login = Login(int(capabilities), "ann", b"proof", "shop", proofs.NATIVE, 33)
    assert read_login(login.encode()) == login
    assert read_change_user(login.change_user(), int(capabilities)) == login


def test_requests_for_tls():
    assert wants_tls(ssl_request(SPOKEN, 45))
    assert not wants_tls(Login(SPOKEN, "", b"").encode()[:32])
    assert read_auth_switch(auth_switch("plugin", NONCE)) == ("plugin", NONCE)


@pytest.mark.parametrize("payload", [b"", b"\x09", Login(SPOKEN, "ann", b"proof").encode()[:35], bytes(40)])
def test_what_is_cut_short_or_too_old_is_a_fault(payload):
    for read in (read_greeting, read_login):
        with pytest.raises(ProtocolFault):
            read(payload)


@pytest.mark.parametrize("value", [0, 250, 251, 65535, 65536, 1 << 24, (1 << 64) - 1])
def test_numbers_of_any_length(value):
    assert Reader(length_encoded(value)).length() == value


def test_payloads_of_16_mib_are_continued():
    assert packet(3, bytes(0xFFFFFF))[-4:] == b"\0\0\0\x04"
    assert len(packet(0, bytes(0xFFFFFF + 1))) == 0xFFFFFF + 1 + 8


def test_packets_that_are_too_long_while_logging_in():
    with pytest.raises(ProtocolFault):
        Packets(longest=10).feed(packet(0, bytes(11))[:4])


def test_proofs():
    native, cached = proofs.native_hash(b"secret"), proofs.caching_hash(b"secret")
    # SELECT PASSWORD('secret')
    assert native.hex().upper() == "14E65567ABDB5135D0CFD9A70B3032C179A49EE7"
    for word, fits in ((b"secret", True), (b"other", False), (b"", False)):
        assert proofs.fits_native(native, NONCE, proofs.native_proof(word, NONCE)) is fits
        assert proofs.fits_caching(cached, NONCE, proofs.caching_proof(word, NONCE)) is fits
    assert proofs.masked(proofs.masked(b"secret\0", NONCE), NONCE) == b"secret\0"
    assert counted(b"ab") == b"\x02ab"
