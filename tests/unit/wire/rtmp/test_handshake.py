import hmac
import random

import pytest

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp.handshake import (
    BLOCK,
    NOISE,
    ClientHandshake,
    ServerHandshake,
    find_digest,
    with_digest,
)

NOISES = [random.Random(seed).randbytes(NOISE) for seed in range(4)]
PLAYER, SERVER = b"Genuine Adobe Flash Player 001", b"Genuine Adobe Flash Media Server 001"


def shake(server, client, size):
    """Both sides, a few bytes at a time."""
    to_server, to_client = client.begin(), b""
    for _ in range(6 * BLOCK):
        if server.done and client.done:
            break
        now, to_server = to_server[:size], to_server[size:]
        if now:
            assert not server.done
            to_client += server.feed(now)
        now, to_client = to_client[:size], to_client[size:]
        if now:
            assert not client.done
            to_server += client.feed(now)
    assert server.done
    assert client.done
    assert not to_server
    assert not to_client


@pytest.mark.parametrize("size", [1, 7, 1536, 1537, 10_000])
@pytest.mark.parametrize("digest", [False, True])
def test_ours_with_ours(size, digest):
    server, client = ServerHandshake(NOISES[0]), ClientHandshake(NOISES[1], digest=digest)
    shake(server, client, size)
    assert server.digest is digest
    assert server.leftover == client.leftover == b""


def test_simple_answers_echo():
    server = ServerHandshake(NOISES[0])
    asked = b"\0\0\0\x05" + bytes(4) + NOISES[1]
    answer = server.feed(b"\x03" + asked)
    assert answer == b"\x03" + bytes(8) + NOISES[0] + asked
    assert server.feed(answer[1 : 1 + BLOCK] + b"more") == b""
    assert server.done
    assert server.leftover == b"more"


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize("noise", NOISES)
def test_digests_of_both_schemes(scheme, noise):
    asked = with_digest(bytes(4) + b"\x0a\x00\x2d\x02" + noise, scheme, PLAYER)
    assert find_digest(asked, PLAYER)[0] == scheme
    server = ServerHandshake(NOISES[3])
    answer = server.feed(b"\x03" + asked)
    assert server.digest
    ours, proof = answer[1 : 1 + BLOCK], answer[1 + BLOCK :]
    assert find_digest(ours, SERVER)[0] == scheme
    _, at = find_digest(asked, PLAYER)
    full = SERVER + bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
    key = hmac.digest(full, asked[at : at + 32], "sha256")
    assert proof[-32:] == hmac.digest(key, proof[:-32], "sha256")
    assert len(proof) == BLOCK


def test_a_version_without_a_digest_is_answered_simply():
    server = ServerHandshake(NOISES[0])
    asked = bytes(4) + b"\x09\x00\x7c\x02" + NOISES[1]
    assert server.feed(b"\x03" + asked)[1 + BLOCK :] == asked
    assert not server.digest


def test_a_client_with_a_digest_takes_a_simple_answer():
    client = ClientHandshake(NOISES[0], digest=True)
    asked = client.begin()[1:]
    theirs = bytes(8) + NOISES[1]
    assert client.feed(b"\x03" + theirs + asked + b"rest") == theirs
    assert client.leftover == b"rest"


@pytest.mark.parametrize(
    ("first", "why"), [(b"\x06", "RTMPS"), (b"GET / HTTP/1.1", "version 71"), (b"\x16\x03\x01", "22")]
)
@pytest.mark.parametrize("side", [ServerHandshake, ClientHandshake])
def test_other_versions_are_a_fault(first, why, side):
    with pytest.raises(ProtocolFault, match=why):
        side(NOISES[0]).feed(first)


def test_noise_of_another_size_is_our_mistake():
    with pytest.raises(ValueError, match="1528"):
        ServerHandshake(b"short")
