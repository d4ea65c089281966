"""Checks of pools of language models: what they speak, and when one of their endpoints is full."""

from collections.abc import Iterator

from marchproxy.model.ai import AiPool, Pick, Provider, Scores
from marchproxy.model.checks.model_names import check_model_name, check_model_patterns
from marchproxy.model.checks.paths import check_api_path
from marchproxy.model.module import Protocol
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.model.rules import check_file, ip_address

_PLAIN = AiPool()
_OVER = frozenset({Protocol.HTTP, Protocol.HTTP2})
#: Companies' own, which are asked over the Internet.
_PUBLIC = frozenset({Provider.OPENAI, Provider.ANTHROPIC})
_SHORTEST_INTERVAL, _LONGEST_INTERVAL = 0.01, 60.0
_LARGEST_QUEUE = 100_000
_LARGEST_SCORE = 1000.0


def check_ai_pool(pool: BackendPool, ai: AiPool, path: str) -> Iterator[Problem]:
    """Faults of one pool with `ai`."""
    if pool.protocol not in _OVER:
        word = pool.protocol.value
        yield Problem(
            f"{path}.ai", f"is for http and http2; {word} has no such thing: remove it, or set protocol"
        )
        return
    if ai.provider in _PUBLIC and not _is_private(pool):
        yield from _check_public(pool, ai, path)
    yield from _check_options(ai, f"{path}.ai")
    yield from _check_fullness(ai, f"{path}.ai")


def _check_public(pool: BackendPool, ai: AiPool, path: str) -> Iterator[Problem]:
    word = ai.provider.value
    if pool.tls is None:
        yield Problem(
            f"{path}.tls",
            f"is needed: keys and prompts for {word} would be readable on their way; "
            "write `tls: {}`, or give a private address",
        )
    if pool.health_check is not None and pool.health_check.path:
        yield Problem(
            f"{path}.health_check.path",
            f"{word} answers nobody without a key, so no endpoint would be healthy; remove it: a connection is enough",
        )


def _is_private(pool: BackendPool) -> bool:
    """Whether all endpoints are listed, by addresses that lead nowhere but to this host or its own network."""
    if pool.discovery.dns or pool.discovery.srv or pool.discovery.file:
        return False
    hosts = [ip_address(endpoint.address.rpartition(":")[0].strip("[]")) for endpoint in pool.endpoints]
    return all(host is not None and host.is_private for host in hosts)


def _check_options(ai: AiPool, path: str) -> Iterator[Problem]:
    for name, theirs in ai.models.items():
        yield from check_model_name(name, f"{path}.models.{name}")
        yield from check_model_name(theirs, f"{path}.models.{name}")
    yield from check_model_patterns(ai.serves, f"{path}.serves")
    if ai.base_path and ai.base_path != "/":
        yield from check_api_path(ai.base_path, f"{path}.base_path")
        if ai.base_path.endswith("/"):
            yield Problem(f"{path}.base_path", f'write "{ai.base_path.rstrip("/")}": the paths begin with /')
    if ai.credential:
        yield from check_file(ai.credential, f"{path}.credential")
    if ai.pick is Pick.SCORED:
        yield from _check_scores(ai.scores, f"{path}.scores")
    elif ai.scores != _PLAIN.scores:
        yield Problem(f"{path}.scores", f"is for pick: scored, not for {ai.pick.value}; remove it")


def _check_scores(scores: Scores, path: str) -> Iterator[Problem]:
    for key in ("queue", "kv_cache", "prefix"):
        weight = getattr(scores, key)
        if not 0 <= weight <= _LARGEST_SCORE:
            yield Problem(f"{path}.{key}", f"{weight:g} is not between 0 and {_LARGEST_SCORE:g}")
    if not any((scores.queue, scores.kv_cache, scores.prefix)):
        yield Problem(
            path, "nothing would speak for any endpoint; pick: least_pending or round_robin need none"
        )


def _check_fullness(ai: AiPool, path: str) -> Iterator[Problem]:
    """When an endpoint is full, and where that is looked up."""
    if ai.metrics_interval and not _SHORTEST_INTERVAL <= ai.metrics_interval <= _LONGEST_INTERVAL:
        yield Problem(
            f"{path}.metrics_interval",
            f"{ai.metrics_interval:g} s is neither 0 (never) nor between {_SHORTEST_INTERVAL} and {_LONGEST_INTERVAL:g}",
        )
    yield from check_api_path(ai.metrics_path, f"{path}.metrics_path")
    if not ai.provider.is_engine:
        yield from _check_no_engine(ai, path)
    if not 1 <= ai.saturated_queue <= _LARGEST_QUEUE:
        yield Problem(
            f"{path}.saturated_queue", f"{ai.saturated_queue} is not between 1 and {_LARGEST_QUEUE:,}"
        )
    if not 0 < ai.saturated_kv <= 1:
        yield Problem(f"{path}.saturated_kv", f"{ai.saturated_kv:g} is not more than 0 and at most 1")


def _check_no_engine(ai: AiPool, path: str) -> Iterator[Problem]:
    given = [key for key in ("metrics_path", "saturated_kv") if getattr(ai, key) != getattr(_PLAIN, key)]
    if ai.metrics_interval not in {0, _PLAIN.metrics_interval}:
        given.append("metrics_interval")
    engines = " and ".join(provider.value for provider in Provider if provider.is_engine)
    for key in given:
        yield Problem(
            f"{path}.{key}", f"is for {engines}, whose metrics are read, not for {ai.provider.value}"
        )
