"""Errors: refusals and invalid values as the contract's Error, and as gRPC statuses."""

from datetime import UTC, datetime

import grpc
import pytest

from marchproxy.contract.errors import (
    GRPC_STATUS,
    error_from_pb,
    error_to_pb,
    refusal_code,
    validation_errors,
)
from marchproxy.contract.pb import types_pb2
from marchproxy.model.problem import InvalidValue, Problem, RefusalCode, Refused

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("code", RefusalCode)
def test_a_refusal_comes_back_as_it_was(code):
    refused = Refused(code, "no", [Problem("a", "is bad"), Problem("b[0]", "is worse")])
    pb = error_to_pb(refused, NOW)
    assert types_pb2.StatusCode.Name(pb.code) == f"STATUS_CODE_{code.name}"
    assert pb.occurred_at.ToDatetime(tzinfo=UTC) == NOW
    back = error_from_pb(types_pb2.Error.FromString(pb.SerializeToString()))
    assert (back.code, back.message, back.problems) == (refused.code, refused.message, refused.problems)


@pytest.mark.parametrize(
    ("problems", "message", "details"),
    [
        ([Problem("a", "is bad")], "a: is bad", {"a": "is bad"}),
        (
            [Problem("a", "1"), Problem("a", "2"), Problem("b", "3")],
            "a: 1 (and 2 more)",
            {"a": "1; 2", "b": "3"},
        ),
        ([Problem("", "is bad")], "is bad", {"request": "is bad"}),
    ],
)
def test_an_invalid_value_is_an_invalid_argument(problems, message, details):
    pb = error_to_pb(InvalidValue(problems), NOW)
    assert (pb.code, pb.message, dict(pb.details)) == (
        types_pb2.STATUS_CODE_INVALID_ARGUMENT,
        message,
        details,
    )


@pytest.mark.parametrize("code", RefusalCode)
def test_every_code_has_a_status_and_comes_back(code):
    assert refusal_code(GRPC_STATUS[code]) is code


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, RefusalCode.UNAVAILABLE),
        (grpc.StatusCode.UNAUTHENTICATED, RefusalCode.PERMISSION_DENIED),
        (grpc.StatusCode.UNKNOWN, RefusalCode.ERROR),
    ],
)
def test_statuses_of_grpc_itself(status, code):
    assert refusal_code(status) is code


@pytest.mark.parametrize("code", [types_pb2.STATUS_CODE_UNSPECIFIED, types_pb2.STATUS_CODE_OK, 99])
def test_a_code_that_is_no_refusal(code):
    assert error_from_pb(types_pb2.Error(code=code, message="?")).code is RefusalCode.ERROR


def test_validation_errors():
    assert validation_errors([Problem("a", "is bad"), Problem("", "empty")]) == ["a: is bad", "empty"]
