import pytest

from marchproxy.wire.detect import ALL, DEFAULT_LIMIT, Detected, NeedMore, Protocol, Unknown, detect, silent
from tests.unit.wire.detect.crafted import C0_C1, CRAFTED, FIRSTS

H2_AND_1 = (b"h2", b"http/1.1")
EXPECTED = {
    "curl-h2c": Detected(Protocol.HTTP2),
    "curl-http1": Detected(Protocol.HTTP1),
    "curl-https": Detected(Protocol.TLS, "client-hello", "shop.example", H2_AND_1),
    "ffmpeg-rtmp": Detected(Protocol.RTMP),
    "h2load-h2c": Detected(Protocol.HTTP2),
    "openssl-no-sni": Detected(Protocol.TLS, "client-hello"),
    "openssl-sni-alpn": Detected(Protocol.TLS, "client-hello", "live.example", H2_AND_1),
    "openssl-tls12": Detected(Protocol.TLS, "client-hello", "old.example"),
    "psql-plain": Detected(Protocol.POSTGRES, "startup"),
    "psql-ssl": Detected(Protocol.POSTGRES, "ssl-request"),
    "pymongo": Detected(Protocol.MONGODB, "op-msg"),
    "pymongo-loadbalanced": Detected(Protocol.MONGODB, "op-msg"),
    "redis-cli": Detected(Protocol.REDIS, "resp"),
    "redis-cli-auth": Detected(Protocol.REDIS, "resp"),
    "ssh": Detected(Protocol.SSH),
    "tls-fragments": Detected(Protocol.TLS, "client-hello", "shop.example"),
    "tls-header-across-records": Detected(Protocol.TLS, "client-hello", "shop.example"),
    "tls-no-extensions": Detected(Protocol.TLS, "client-hello"),
    "http1-lf": Detected(Protocol.HTTP1),
    "http1-webdav": Detected(Protocol.HTTP1),
    "http1-utf8": Detected(Protocol.HTTP1),
    "postgres-gss": Detected(Protocol.POSTGRES, "gss-request"),
    "postgres-cancel": Detected(Protocol.POSTGRES, "cancel-request"),
    "postgres-3.2": Detected(Protocol.POSTGRES, "startup"),
    "postgres-long-cancel": Detected(Protocol.POSTGRES, "cancel-request"),
    "redis-inline": Detected(Protocol.REDIS, "inline"),
    "redis-inline-lf": Detected(Protocol.REDIS, "inline"),
    "redis-http-like": Detected(Protocol.REDIS, "inline"),
    "mongo-query": Detected(Protocol.MONGODB, "op-query"),
    "mongo-message": Detected(Protocol.MONGODB, "op-msg"),
    "mongo-compressed": Detected(Protocol.MONGODB, "op-compressed"),
    "mongo-length-3": Detected(Protocol.MONGODB, "op-msg"),
    "rtmp-zeros": Detected(Protocol.RTMP),
    "ssh-1.99": Detected(Protocol.SSH),
}
SAMPLES = FIRSTS | CRAFTED


def prefix_verdicts(data, enabled=ALL, limit=DEFAULT_LIMIT):
    return [detect(data[:size], enabled, limit=limit) for size in range(len(data) + 1)]


def test_every_sample_is_expected():
    assert SAMPLES.keys() == EXPECTED.keys()
    assert {found.protocol for found in EXPECTED.values()} == ALL - {Protocol.MYSQL}  # which sends nothing


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_whole(name, kind):
    assert detect(kind(SAMPLES[name]), ALL) == EXPECTED[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_byte_by_byte(name):
    first, *verdicts = prefix_verdicts(SAMPLES[name])
    assert first == NeedMore(DEFAULT_LIMIT)
    decided = [verdict for verdict in verdicts if not isinstance(verdict, NeedMore)]
    assert decided
    assert set(decided) == {EXPECTED[name]}


@pytest.mark.parametrize("name", SAMPLES)
def test_disabled_protocol_is_unknown_and_never_another(name):
    verdicts = prefix_verdicts(SAMPLES[name], ALL - {EXPECTED[name].protocol})
    assert {type(verdict) for verdict in verdicts} <= {NeedMore, Unknown}
    assert verdicts[-1] == Unknown()


@pytest.mark.parametrize("name", SAMPLES)
def test_only_its_own_protocol_enabled(name):
    assert detect(SAMPLES[name], frozenset({EXPECTED[name].protocol})) == EXPECTED[name]


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\0\0\0\0\0",
        b"hallo world\r\n",
        b"EHLO mail.example\r\n",
        b"USER anonymous\r\n",
        b"\r\n\r\n",
        b"GET /\x01 HTTP/1.1\r\n",
        b"FETCH /a b HTTP/1.1\r\n",
        b"FETCH /a HTTP/2.0\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX",
        b"SSH-1.5-old\r\n",
        b"*0\r\n",
        b"*1\r\nPING\r\n",
        b"*99999999\r\n",
        b"PING\x00\r\n",
        b"\x03\x00\x00\x00\x00\x00\x01\x00\x00",  # neither zero nor a version where RTMP has one
        b"\x16\x03\x01\x00\x00" + bytes(11),  # an empty record
        b"\x16\x03\x01\x40\x01",  # a record too long
        b"\x16\x03\x01\x00\x04\x02" + bytes(10),  # a ServerHello
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",  # 16 MB to come
        b"\x80\x2e\x01\x00\x02" + bytes(11),  # SSL 2.0
        b"\xff" * 40,
    ],
)
def test_unknown_at_once(data):
    assert detect(data, ALL) == Unknown()


def test_rdp_is_not_rtmp():
    request = bytes.fromhex("030000130ee000000000000100080003000000")
    assert detect(request, ALL) == NeedMore(len(C0_C1) - len(request))


@pytest.mark.parametrize("limit", [1, 24, 100, 1000])
def test_at_the_limit_it_is_unknown(limit):
    line = b"GET /" + b"a" * limit
    assert detect(line[: limit - 1], ALL, limit=limit) == NeedMore(1)
    assert detect(line, ALL, limit=limit) == Unknown()


def test_what_lies_beyond_the_limit_is_not_read():
    line = b"GET /" + b"a" * 100 + b" HTTP/1.1\r\n"
    assert detect(line, ALL, limit=len(line) - 1) == Unknown()
    assert detect(line, ALL, limit=len(line)) == Detected(Protocol.HTTP1)


@pytest.mark.parametrize(
    ("enabled", "verdict"),
    [(ALL, Detected(Protocol.MYSQL, "silence")), (ALL - {Protocol.MYSQL}, Unknown())],
)
def test_silent(enabled, verdict):
    assert silent(enabled) == verdict
