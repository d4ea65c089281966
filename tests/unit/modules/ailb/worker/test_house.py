"""What a decider has, put together."""

import asyncio

from structlog.testing import capture_logs

from marchproxy.kit.clock import VirtualClock
from marchproxy.modules.ailb.decision.under_way import Now
from marchproxy.modules.ailb.ledger.file_store import FileStore
from marchproxy.modules.ailb.ledger.journal import Journal
from marchproxy.modules.ailb.ledger.totals import Totals
from marchproxy.modules.ailb.settling.report import Ending, Report
from marchproxy.modules.ailb.talk import Apply
from marchproxy.modules.ailb.worker.house import House


async def test_a_refused_credential_is_logged_once_a_minute_for_each_pool(tmp_path):
    clock, totals = VirtualClock(), Totals()
    async with asyncio.TaskGroup() as group:
        journal = Journal(FileStore(tmp_path), totals, clock)
        house = House(group, totals, journal, clock, now=lambda: Now(1, 0.0))
        house.apply(Apply("pools: [{name: a, endpoints: ['127.0.0.1:1'], ai: {}}]"))
        with capture_logs() as logs:
            for seconds, pool in ((0, "a"), (1, "b"), (59, "a"), (61, "a")):
                house.refused(Report(1, Ending.REFUSED, pool, "127.0.0.1:1", 401), Now(1, float(seconds)))
        house.close()
    assert [(line["pool"], line["status"], line["log_level"]) for line in logs] == [
        ("a", 401, "error"),
        ("b", 401, "error"),
        ("a", 401, "error"),
    ]
