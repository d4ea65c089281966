"""The health of everything, from what NLBs answer."""

import pytest

from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.manager.watching.health import Health
from marchproxy.manager.watching.probing import judge, read_health
from marchproxy.model.module import HealthStatus
from tests.unit.manager.watching.seen import NOW

OK, BAD, SO_SO = HealthStatus.HEALTHY, HealthStatus.UNHEALTHY, HealthStatus.DEGRADED


def health(kind: str, status: HealthStatus) -> Health:
    return Health(kind, kind, status, "words", NOW)


@pytest.mark.parametrize(
    ("database", "nlb", "expected"),
    [(OK, OK, OK), (OK, BAD, SO_SO), (OK, SO_SO, SO_SO), (BAD, OK, BAD), (BAD, BAD, BAD)],
)
def test_a_manager_without_its_database_is_ill(
    database: HealthStatus, nlb: HealthStatus, expected: HealthStatus
) -> None:
    status, words = judge([health("database", database), health("nlb", nlb)])
    assert status is expected
    assert ("nlb: words" in words) is (nlb is not OK)


@pytest.mark.parametrize(
    ("module", "expected", "words"),
    [
        (types_pb2.HEALTH_STATUS_HEALTHY, OK, "forwards as planned"),
        (types_pb2.HEALTH_STATUS_STOPPING, OK, "forwards as planned"),  # somebody drains it
        (types_pb2.HEALTH_STATUS_UNHEALTHY, SO_SO, "not well: alb-1"),
        (99, SO_SO, "not well: alb-1"),
    ],
)
def test_an_nlb_is_as_well_as_its_modules(
    module: types_pb2.HealthStatus.ValueType, expected: HealthStatus, words: str
) -> None:
    answer = nlb_pb2.CheckHealthResponse(
        status=types_pb2.HEALTH_STATUS_HEALTHY,
        message="forwards as planned",
        module_health={"alb-1": module},
        checks={"module alb-1": "unhealthy: did not answer", "plan": "in force"},
    )
    found = read_health("nlb", answer)
    assert (found.status, found.message) == (expected, words)
    assert found.checks == (("plan", "in force"),)
    assert found.parts[0].message == "did not answer"
