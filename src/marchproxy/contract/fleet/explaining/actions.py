"""What a route does with a request beside choosing who answers it, in words for `explain`. No I/O."""

from collections.abc import Iterator

from marchproxy.contract.fleet.explaining.question import PORTS, Question
from marchproxy.model.ai import AiRoute, Model, Prefer
from marchproxy.model.http import HeaderEdits, Redirect, Rewrite, Sticky, StickyKind
from marchproxy.model.network import is_among
from marchproxy.model.rewriting import rewritten_path
from marchproxy.model.route import Route

_MOST_MODELS = 8


def refusal(route: Route, client: str) -> str:
    """Why the route answers this client 403; empty: it does not, or the client is not known."""
    if client and is_among(route.deny, client):
        return f"denies {client}: answered 403"
    if client and route.allow and not is_among(route.allow, client):
        return f"does not allow {client}: answered 403"
    return ""


def action_lines(route: Route, question: Question) -> Iterator[str]:
    """The steps, those first that may turn a request away."""
    if route.cors is not None:
        yield f"answers scripts of {', '.join(route.cors.origins)} (CORS)"
    yield from _access_lines(route, question.client)
    if route.authentication:
        otherwise = "refused" if question.is_session else "answered 401"
        yield f"asks who it is: {' or '.join(route.authentication)}; otherwise {otherwise}"
    if route.max_request_bytes:
        yield f"takes {route.max_request_bytes} bytes at most; more is answered 413"
    if route.ai is not None:
        yield from _model_lines(route.ai)
    yield from _answer_lines(route, question)
    yield from _edit_lines("request", route.request_headers)
    yield from _edit_lines("response", route.response_headers)
    if route.sticky is not None:
        yield _sticky_line(route.sticky)
    for mirror in route.mirrors:
        yield f"sends a copy of {mirror.percent:g} % to pool {mirror.pool}"
    if route.compression:
        yield "compresses the answer if the client accepts it"


def _access_lines(route: Route, client: str) -> Iterator[str]:
    if reason := refusal(route, client):
        yield reason
    if client:
        return
    if route.deny:
        yield f"denies clients of {', '.join(route.deny)}: answered 403"
    if route.allow:
        yield f"allows only clients of {', '.join(route.allow)}; others are answered 403"


def _answer_lines(route: Route, question: Question) -> Iterator[str]:
    if route.redirect is not None:
        yield f"answers {route.redirect.code}: {_elsewhere(route.redirect, route, question)}"
    if route.response is not None:
        size = len(route.response.body.encode())
        yield f"answers {route.response.status} by itself, {size} bytes of {route.response.content_type}"
    if route.rewrite is not None:
        path = rewritten_path(route.rewrite, route.match.path, question.path)
        host = f" of {route.rewrite.host}" if route.rewrite.host else ""
        yield f"asks the backend for {path}{host}"


def _model_lines(ai: AiRoute) -> Iterator[str]:
    if ai.require_key:
        yield "wants a virtual key; otherwise answered 401"
    if ai.guardrails:
        yield f"is looked at by {', '.join(ai.guardrails)}"
    for model in ai.models[:_MOST_MODELS]:
        names = " or ".join((model.name, *model.aliases))
        yield f"for {names} asks {_targets_in_words(model)}"
    if len(ai.models) > _MOST_MODELS:
        yield f"has {len(ai.models) - _MOST_MODELS} more models"


def _targets_in_words(model: Model) -> str:
    """`p 90 %, q 10 %; then r`, tier by tier."""
    tiers: dict[int, list[str]] = {}
    for target in sorted(model.targets, key=lambda target: target.tier):
        share = f" {target.weight} %" if model.prefer is Prefer.WEIGHT and target.weight < 100 else ""
        tiers.setdefault(target.tier, []).append(f"{target.pool}{share}")
    way = "" if model.prefer is Prefer.WEIGHT else f", by {model.prefer.value}"
    return "; then ".join(", ".join(tier) for tier in tiers.values()) + way


def _elsewhere(redirect: Redirect, route: Route, question: Question) -> str:
    path = redirect.path or question.path
    if redirect.prefix:
        path = rewritten_path(Rewrite(path=redirect.prefix), route.match.path, question.path)
    query = f"?{question.query}" if question.query and not redirect.strip_query else ""
    host = redirect.host or question.host
    # a port that was asked for stays with the host that was asked for
    kept = 0 if redirect.host or question.port == PORTS.get(question.scheme) else question.port
    port = f":{redirect.port or kept}" if redirect.port or kept else ""
    return f"{redirect.scheme or question.scheme}://{host}{port}{path}{query}"


def _edit_lines(what: str, edits: HeaderEdits) -> Iterator[str]:
    parts = [
        *(f"-{name}" for name in edits.remove),
        *(f"{name}: {value}" for name, value in edits.set),
        *(f"+{name}: {value}" for name, value in edits.add),
    ]
    if parts:
        yield f"edits {what} headers: {'; '.join(parts)}"


def _sticky_line(sticky: Sticky) -> str:
    known_by = {
        StickyKind.COOKIE: f'the cookie "{sticky.name}"',
        StickyKind.HEADER: f'the header "{sticky.name}"',
        StickyKind.SOURCE: "its address",
    }
    return f"keeps a session at one endpoint, known by {known_by[sticky.kind]}"
