"""Figures: the numbers of a view under names, for their history. Pure. The names are part of the API (docs/api.md)."""

from collections.abc import Iterator

from marchproxy.manager.watching.view import LiveView, Rates

#: What a view has no word of serves nothing.
SILENT = ("routes/",)


def figures(view: LiveView) -> Iterator[tuple[str, float]]:
    """`what/measure` or `what/name/measure` with its value, those first that matter most.

    Per second: requests, errors, received, sent (bytes), accepted, failed and denied (connections). p50_ms, p99_ms in
    milliseconds, cpu in percent of a core, memory in MiB.
    """
    yield from _rates("total", view.total)
    yield "total/connections", view.connections
    yield "total/instances", len(view.parts)
    for listener in view.listeners:
        name = f"listeners/{listener.name}"
        yield f"{name}/connections", listener.connections
        yield f"{name}/accepted", listener.accepted
        yield f"{name}/failed", listener.failed
        yield f"{name}/denied", listener.denied
        yield f"{name}/received", listener.received
        yield f"{name}/sent", listener.sent
    for part in view.parts:
        name = f"instances/{part.id}"
        yield f"{name}/requests", part.stats.requests
        yield f"{name}/errors", part.stats.errors
        yield f"{name}/p99_ms", part.stats.p99_ms
        yield f"{name}/connections", part.connections
        yield f"{name}/cpu", part.cpu
        yield f"{name}/memory", part.memory
    for limit in view.limits:
        yield f"limits/{limit.limit_id}/allowed", limit.allowed
        yield f"limits/{limit.limit_id}/denied", limit.denied
    for pool in view.pools.values():
        yield from _short(f"pools/{pool.name}", pool.stats)
    for route, rates in view.routes.items():
        yield from _short(f"routes/{route}", rates)


def _rates(name: str, rates: Rates) -> Iterator[tuple[str, float]]:
    yield from _short(name, rates)
    yield f"{name}/p50_ms", rates.p50_ms
    yield f"{name}/received", rates.received
    yield f"{name}/sent", rates.sent


def _short(name: str, rates: Rates) -> Iterator[tuple[str, float]]:
    yield f"{name}/requests", rates.requests
    yield f"{name}/errors", rates.errors
    yield f"{name}/p99_ms", rates.p99_ms
