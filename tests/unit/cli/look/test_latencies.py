"""Percentiles as cells of a table."""

import pytest
from rich.text import Text

from marchproxy.cli.look import sheets
from marchproxy.cli.look.latencies import Measured, bar, by_name, cells, slowest
from marchproxy.cli.look.pools import pools
from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2


def stats(requests: int, failed: int, p50: float, p99: float) -> types_pb2.ModuleStats:
    return types_pb2.ModuleStats(
        total_requests=requests, failed_requests=failed, p50_latency_ms=p50, p99_latency_ms=p99
    )


def plain(row) -> list[str]:
    return [str(cell) for cell in row]


def test_instances_are_added_up_and_the_slowest_is_told() -> None:
    answers = {
        "a": {"shop": stats(3, 1, 5, 50)},
        "b": {"shop": stats(4, 0, 7, 20), "idle": stats(0, 0, 9, 9)},
    }
    assert by_name(answers) == {"shop": Measured(7, 1, 7, 50), "idle": Measured()}


@pytest.mark.parametrize(
    ("p50", "p99", "drawn"),
    [
        (50, 100, "██████░░░░░░"),
        (0, 50, "░░░░░░"),
        (100, 100, "████████████"),
        (0.1, 0.1, "░"),
        (25, 25, "███"),
    ],
)
def test_bars_are_drawn_to_the_slowest(p50: float, p99: float, drawn: str) -> None:
    assert bar(Measured(1, 0, p50, p99), 100).plain == drawn


def test_a_table_without_traffic_has_no_bars() -> None:
    assert slowest([]) == 0
    assert bar(Measured(1), 0) == Text("")
    assert plain(cells(Measured(), 0)) == ["0", "0", "-", "-", ""]


def test_routes_have_their_percentiles() -> None:
    table = nlb_pb2.GetRoutingTableResponse(
        entries=[nlb_pb2.RoutingEntry(route=types_pb2.Route(route_id=name)) for name in ("shop", "idle")]
    )
    sheet = sheets.routes(table, {"shop": Measured(7, 1, 7, 50)})
    assert [column.name for column in sheet.columns][-5:] == [
        "requests",
        "failed",
        "p50 ms",
        "p99 ms",
        "p50 to p99",
    ]
    assert plain(sheet.rows[0])[-5:-1] == ["7", "1", "7.00", "50.00"]
    assert plain(sheet.rows[1])[-5:] == ["0", "0", "-", "-", ""]


def test_pools_have_percentiles_health_and_trouble() -> None:
    pool = types_pb2.BackendPool(
        name="blue",
        version="v1",
        endpoints=[types_pb2.BackendEndpoint(health_status=types_pb2.HEALTH_STATUS_UNHEALTHY)],
        found=[types_pb2.BackendEndpoint()],
        trouble="a file is gone",
    )
    answers = {"alb-1": module_pb2.GetBackendsResponse(pools=[pool])}
    (row,) = pools(answers, {"alb-1": {"blue": stats(3, 0, 1, 2)}}).rows
    assert plain(row)[:8] == ["alb-1", "blue", "v1", "1/2", "3", "0", "1.00", "2.00"]
    assert str(row[-1]) == "a file is gone"
    (silent,) = pools(answers, {}).rows
    assert plain(silent)[4:8] == ["0", "0", "-", "-"]
