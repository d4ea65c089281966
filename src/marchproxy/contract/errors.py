"""Errors: the model's refusals, the contract's Error, and gRPC status codes."""

from collections.abc import Iterable
from datetime import datetime

import grpc

from marchproxy.contract.convert.enums import EnumCodec
from marchproxy.contract.convert.times import moment_to_pb
from marchproxy.contract.pb import types_pb2
from marchproxy.kit.telemetry import annotate
from marchproxy.model.problem import InvalidValue, Problem, RefusalCode, Refused

CODES = EnumCodec(RefusalCode, types_pb2.StatusCode.items(), "STATUS_CODE")

#: For misuse, which is answered with a gRPC status in place of an Error; see proto/README.md.
GRPC_STATUS = {
    RefusalCode.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    RefusalCode.ALREADY_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    RefusalCode.INVALID_ARGUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    RefusalCode.PERMISSION_DENIED: grpc.StatusCode.PERMISSION_DENIED,
    RefusalCode.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    RefusalCode.RESOURCE_EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    RefusalCode.ERROR: grpc.StatusCode.INTERNAL,
}
_REFUSALS = {status: code for code, status in GRPC_STATUS.items()}
#: What gRPC itself answers when a peer is gone, slow or broken.
_REFUSALS |= {
    grpc.StatusCode.DEADLINE_EXCEEDED: RefusalCode.UNAVAILABLE,
    grpc.StatusCode.UNAUTHENTICATED: RefusalCode.PERMISSION_DENIED,
    grpc.StatusCode.FAILED_PRECONDITION: RefusalCode.INVALID_ARGUMENT,
    grpc.StatusCode.OUT_OF_RANGE: RefusalCode.INVALID_ARGUMENT,
}


def refusal_of(failure: Refused | InvalidValue) -> Refused:
    """The failure as a refusal: a value that breaks its rules is an invalid argument."""
    if isinstance(failure, Refused):
        return failure
    return Refused(RefusalCode.INVALID_ARGUMENT, _summary(failure.problems), failure.problems)


def error_to_pb(failure: Refused | InvalidValue, occurred_at: datetime) -> types_pb2.Error:
    """The message; `details` holds each problem's path and what is wrong there."""
    refused = refusal_of(failure)
    annotate(**{"marchproxy.refusal": refused.code.value})
    details: dict[str, str] = {}
    for problem in refused.problems:
        key = problem.path or "request"
        details[key] = f"{details[key]}; {problem.message}" if key in details else problem.message
    return types_pb2.Error(
        code=CODES.to_pb(refused.code),
        message=refused.message,
        details=details,
        occurred_at=moment_to_pb(occurred_at),
    )


def error_from_pb(pb: types_pb2.Error) -> Refused:
    """The refusal that a peer answered; a code that is not known here is ERROR."""
    known = {CODES.to_pb(code): code for code in RefusalCode}
    problems = [Problem(path, message) for path, message in sorted(pb.details.items())]
    return Refused(known.get(pb.code, RefusalCode.ERROR), pb.message, problems)


def refusal_code(status: grpc.StatusCode) -> RefusalCode:
    """The refusal that a gRPC status stands for; ERROR for those without one."""
    return _REFUSALS.get(status, RefusalCode.ERROR)


def validation_errors(problems: Iterable[Problem]) -> list[str]:
    """The problems as the `validation_errors` of a response."""
    return [str(problem) for problem in problems]


def _summary(problems: tuple[Problem, ...]) -> str:
    if not problems:
        return "invalid"
    rest = len(problems) - 1
    return f"{problems[0]}" if not rest else f"{problems[0]} (and {rest} more)"
