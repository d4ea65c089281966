"""Backend pools as a table: how many endpoints are healthy, and what their requests took. No I/O."""

from collections.abc import Mapping

from rich.text import Text

from marchproxy.cli.look.latencies import HEADS, cells, measured, slowest
from marchproxy.cli.screen import Sheet, columns
from marchproxy.contract.fleet.words import health
from marchproxy.contract.pb import module_pb2, types_pb2


def pools(
    answers: Mapping[str, module_pb2.GetBackendsResponse],
    counted: Mapping[str, Mapping[str, types_pb2.ModuleStats]],
) -> Sheet:
    """Every pool as each instance sees it; `counted` by instance and pool."""
    found = [
        (instance, pool, measured([stats[pool.name]] if pool.name in stats else []))
        for instance, answer in sorted(answers.items())
        for stats in [counted.get(instance, {})]
        for pool in answer.pools
    ]
    scale = slowest(one for _, _, one in found)
    rows = [
        (
            instance,
            pool.name,
            pool.version,
            _sound(pool),
            *cells(one, scale),
            Text(pool.trouble, style="red"),
        )
        for instance, pool, one in found
    ]
    heads = columns("instance", "pool", "version", "#healthy", *HEADS, "trouble")
    return Sheet("Pools", heads, rows, "there are no backend pools")


def _sound(pool: types_pb2.BackendPool) -> Text:
    """How many of the endpoints are healthy; those without a check count as such."""
    endpoints = (*pool.endpoints, *pool.found)
    sound = sum(health(endpoint.health_status) in {"healthy", "unknown"} for endpoint in endpoints)
    return Text(f"{sound}/{len(endpoints)}", style="" if sound == len(endpoints) else "yellow")
