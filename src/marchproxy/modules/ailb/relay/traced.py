"""Traced: what a relay tells Envoy behind an answer, for the span of a request that is traced; of others nothing. Pure."""

from marchproxy.model.usage import Usage
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.dialects.failure import Failure
from marchproxy.wire.http2.heads import encode_trailers

_CONTEXT = b"traceparent"
#: The last digit of flags whose lowest bit is set.
_SAMPLED = frozenset(b"%c" % digit for digit in b"13579bdf")
_INPUT, _OUTPUT, _ERROR = (name.encode() for name in asking.TRACED)


def trailers(
    fields: dict[bytes, bytes], usage: Usage | None, pieces: int | None, failure: Failure | None = None
) -> bytes:
    """Fields behind an answer, encoded; empty: none. `fields`: of the request; `pieces`: as a Shape has them."""
    if not is_traced(fields.get(_CONTEXT, b"")):
        return b""
    told: list[tuple[bytes, bytes]] = []
    if usage is not None:
        told.append((_INPUT, b"%d" % usage.input))
    if written := max(usage.output if usage else 0, pieces or 0):
        told.append((_OUTPUT, b"%d" % written))
    if failure is not None:
        told.append((_ERROR, failure.reason.name.lower().encode()))
    return encode_trailers(told)


def is_traced(context: bytes) -> bool:
    """Whether a `traceparent` says that spans are kept (https://www.w3.org/TR/trace-context/#trace-flags)."""
    return context[-3:-2] == b"-" and context[-1:] in _SAMPLED
