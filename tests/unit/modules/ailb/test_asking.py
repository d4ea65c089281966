"""What an Envoy is told of a request."""

from base64 import b64decode

import pytest
from google.protobuf import json_format, struct_pb2

from marchproxy.model.ai import Dialect
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.asking import Allowed, Denied
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.http.resources.clusters import REACHING, cluster_name


def test_pools_are_asked_one_after_the_other():
    value = struct_pb2.Value.FromString(b64decode(asking.encode_pools(("relay.a", "pool.b"))))
    assert json_format.MessageToDict(value) == [
        {"name": "attempt 1", "clusters": [{"cluster_name": "relay.a", "weight": 1}]},
        {"name": "attempt 2", "clusters": [{"cluster_name": "pool.b", "weight": 1}]},
    ]


def test_both_ways_to_a_pool_are_counted_as_its_own():
    assert (asking.pool_cluster("a"), asking.relay_cluster("a")) == tuple(f"{way}a" for way in REACHING)


def test_an_allowance_says_all_in_headers():
    answer = Allowed(("pool.a", "pool.b"), (("x-ai-id", "7"), ("x-ai-host", "127.0.0.1:1"))).encode()
    head, _, body = answer.decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    assert (status, body) == ("HTTP/1.1 200 OK", "")
    assert dict(line.split(": ") for line in lines) == {
        "x-ai-pools": asking.encode_pools(("pool.a", "pool.b")).decode(),
        "x-envoy-max-retries": "1",
        "x-envoy-auth-headers-to-remove": "authorization,x-api-key",
        "x-ai-id": "7",
        "x-ai-host": "127.0.0.1:1",
        "content-length": "0",
    }


def test_a_refusal_is_the_clients_answer():
    assert Denied(429, b"{}", 3).encode() == (
        b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 3\r\n"
        b"content-length: 2\r\n\r\n{}"
    )


def test_no_refusal_is_a_failure_to_envoy():
    """It takes each 5xx of who is asked for one."""
    statuses = {Failure(reason, "").status(dialect) for reason in Reason for dialect in Dialect}
    veiled = {status: asking.VEILED.get(status, status) for status in statuses}
    assert all(400 <= status < 500 for status in veiled.values())
    assert len(set(veiled.values())) == len(statuses)
    assert Denied(503, b"").encode().startswith(b"HTTP/1.1 483 ")


@pytest.mark.parametrize("name", ["m", 'a"b\\c', "Qwen/Qwen3:8b&x=y", "ß€"])
def test_names_arrive_whatever_is_in_them(name):
    value = asking.encode_names((("pool & co", name), ("b", "m")))
    assert value.isascii()
    assert not set(value) & set(' ",\r\n')
    assert asking.decode_names(value)["pool & co"] == asking.dump(name).decode()
    assert asking.decode_names(value)["b"] == '"m"'


def test_a_pools_cluster_is_called_as_the_gateway_calls_it():
    assert asking.pool_cluster("a") == cluster_name("a")
