"""Inquiry: what a request is, who sends it, and whether it may, as far as the request itself says. Pure."""

from dataclasses import dataclass
from typing import Protocol

from marchproxy.model.ai import Dialect, VirtualKey
from marchproxy.model.route import RouteId
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.decision.under_way import Now
from marchproxy.modules.ailb.dialects.asked import Asked, read
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.dialects.operations import Call, Operation, call_of, dialect_of
from marchproxy.modules.ailb.ledger.who import Who
from marchproxy.modules.ailb.plan import AiPlan, ModelPlan, RoutePlan
from marchproxy.wire.http1 import Request

NOBODY = Who()
_ROUTE = asking.ROUTE.encode()


class Keys(Protocol):
    """The virtual keys."""

    def find(self, shown: str, now: int) -> VirtualKey | Failure:
        """Whose the key is that a client shows (empty: none), or why it is of no use. `now`: ns since the epoch."""

    def permits(self, key: VirtualKey, model: str) -> bool:
        """Whether the key's owner may ask for a model."""


class Turned(Exception):
    """The request does not pass. `status`: instead of the failure's; `retry_after`: seconds."""

    def __init__(self, failure: Failure, *, status: int = 0, retry_after: int | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.status = status
        self.retry_after = retry_after


@dataclass(slots=True)
class Inquiry:
    """As much of a request as is known yet: what is not is empty, for the words and the counts of a refusal."""

    request: Request
    now: Now
    dialect: Dialect = Dialect.OPENAI
    route: RoutePlan | None = None
    call: Call | None = None
    key: VirtualKey | None = None
    who: Who = NOBODY
    asked: Asked | None = None
    model: ModelPlan | None = None

    @property
    def operation(self) -> Operation | None:
        """What is asked for."""
        return self.call.operation if self.call else None


def identify(inquiry: Inquiry, plan: AiPlan, keys: Keys) -> RoutePlan:
    """Which route and operation it is, and whose key. Raises Turned."""
    request = inquiry.request
    anthropic = b"anthropic-version" in request.fields
    if anthropic:
        inquiry.dialect = Dialect.ANTHROPIC
    route = inquiry.route = plan.routes.get(RouteId(request.field(_ROUTE)))
    if route is None:
        raise Turned(
            Failure(Reason.INTERNAL, "the gateway does not know this route yet: try again in 1 s"),
            status=503,
            retry_after=1,
        )
    path = route.below(request.target)
    call = call_of(request.method, path, anthropic=anthropic)
    if isinstance(call, Failure):
        inquiry.dialect = dialect_of(path) or inquiry.dialect
        raise Turned(call)
    inquiry.call, inquiry.dialect = call, call.operation.dialect
    _check_body(request, route.options.max_body_bytes)
    shown = shown_key(request)
    if shown or route.options.require_key:
        key = keys.find(shown, inquiry.now.wall)
        if isinstance(key, Failure):
            raise Turned(key)
        inquiry.key, inquiry.who = key, Who.of(key)
    return route


def understand(inquiry: Inquiry, route: RoutePlan, keys: Keys) -> tuple[Asked, ModelPlan]:
    """What is asked of which model. Raises Turned."""
    assert inquiry.call is not None
    asked = read(inquiry.call.operation, inquiry.request.body)
    if isinstance(asked, Failure):
        raise Turned(asked)
    inquiry.asked = asked
    model = route.model(asked.model)
    if model is not None and inquiry.key is not None and not keys.permits(inquiry.key, model.name):
        raise Turned(Failure(Reason.FORBIDDEN, f"this key may not use the model {asked.model!r}", "model"))
    if model is None:
        raise Turned(Failure(Reason.NO_SUCH_MODEL, f"the model {asked.model!r} does not exist", "model"))
    inquiry.model = model
    if not model.targets:
        raise Turned(Failure(Reason.NO_SUCH_MODEL, f"nobody serves the model {asked.model!r}", "model"))
    return asked, model


def shown_key(request: Request) -> str:
    """The key that a client shows, as either API has it; empty: none."""
    scheme, _, shown = request.field(b"authorization").partition(" ")
    if scheme.lower() == "bearer" and shown:
        return shown.strip()
    return request.field(b"x-api-key").strip()


def _check_body(request: Request, most: int) -> None:
    coding = request.fields.get(b"content-encoding")
    if coding and (coding := coding.lower()) != b"identity":
        message = (
            f"a body that is encoded as {coding.decode('latin-1')[:40]!r} is not taken: send it as it is"
        )
        raise Turned(Failure(Reason.BAD_REQUEST, message), status=415)
    if len(request.body) > most:
        raise Turned(
            Failure(Reason.TOO_LARGE, f"the body has {len(request.body)} bytes, at most {most} are taken")
        )
