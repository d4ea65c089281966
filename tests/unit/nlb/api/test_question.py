"""RouteRequest's message as a question."""

import grpc
import pytest

from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.kit.grpc.status import Misuse
from marchproxy.model.matching import Request
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.nlb.api.question import read_question
from marchproxy.nlb.rules.question import Question

HTTP, HTTPS, RTMPS = types_pb2.PROTOCOL_HTTP, types_pb2.PROTOCOL_HTTPS, types_pb2.PROTOCOL_RTMPS


def question(context=None, **route):
    return read_question(nlb_pb2.RouteRequestRequest(route=types_pb2.Route(**route), context=context or {}))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (question(), Question()),
        (question({"listener": "web", "client": "::1"}), Question(listener="web", source="::1")),
        (question(source_pattern="10.0.0.1", destination_port=80), Question(port=80, source="10.0.0.1")),
        (question(module_type=types_pb2.MODULE_TYPE_AILB), Question(module_type=ModuleType.AILB)),
        (
            question({"method": "post"}, protocol=HTTP, destination_pattern="a:80", path_pattern="/x?y", headers={"X-Y": "1"}),
            Question(protocol=Protocol.HTTP, request=Request("a", "/x", "POST", {"x-y": "1"}, "y")),
        ),
        (
            question(protocol=HTTPS, destination_pattern="a.example:443"),
            Question(protocol=Protocol.HTTPS, request=Request("a.example"), sni="a.example", alpn=("h2", "http/1.1")),
        ),
        (
            question({"sni": "b", "alpn": "http/1.1, x,"}, protocol=HTTPS, destination_pattern="a"),
            Question(protocol=Protocol.HTTPS, request=Request("a"), sni="b", alpn=("http/1.1", "x")),
        ),
        (
            question(protocol=HTTPS, destination_pattern="192.0.2.1"),  # an address is no server name
            Question(protocol=Protocol.HTTPS, request=Request("192.0.2.1"), alpn=("h2", "http/1.1")),
        ),
        (question(protocol=HTTPS, destination_pattern="[::1]:443").sni, ""),
        (question({"sni": "live"}, protocol=RTMPS).alpn, ()),
    ],
)  # fmt: skip
def test_what_is_read(asked, expected):
    assert asked == expected


def test_an_unknown_value_is_misuse():
    with pytest.raises(Misuse) as misuse:
        question(protocol=99)
    assert misuse.value.code is grpc.StatusCode.INVALID_ARGUMENT
