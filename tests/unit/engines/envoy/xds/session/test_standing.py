"""What became of each resource, at every step of a conversation."""

import pytest

from marchproxy.engines.envoy.xds.session import Stage
from tests.unit.engines.envoy.xds.envoy_model import CLUSTER, ENDPOINT, checked, pool
from tests.unit.engines.envoy.xds.session.dialogue import BOTH, Dialogue


def stages(talk):
    return {
        (one.resource.type, one.resource.name): (one.stage, one.reason) for one in talk.session.standings()
    }


@pytest.mark.parametrize("variant", BOTH)
def test_from_not_asked_for_to_refused(variant):
    talk = Dialogue(variant, checked(*pool("a")))
    assert stages(talk) == {}  # nobody asked
    talk.subscribe(CLUSTER)
    assert stages(talk) == {(CLUSTER, "a"): (Stage.SENT, "")}
    talk.subscribe(ENDPOINT, "a")
    talk.answer(ENDPOINT)
    talk.answer(CLUSTER)
    assert stages(talk) == {(CLUSTER, "a"): (Stage.ACCEPTED, ""), (ENDPOINT, "a"): (Stage.ACCEPTED, "")}
    talk.push(checked(*pool("a"), *pool("b")))
    assert stages(talk)[CLUSTER, "b"] == (Stage.SENT, "")
    talk.answer(CLUSTER, error="no b for me")
    assert stages(talk)[CLUSTER, "b"] == (Stage.REFUSED, "no b for me")
    assert stages(talk)[CLUSTER, "a"] == (Stage.ACCEPTED, "")


@pytest.mark.parametrize("variant", BOTH)
def test_a_node_that_nothing_is_meant_for_has_none(variant):
    talk = Dialogue(variant)
    talk.subscribe(CLUSTER)
    assert stages(talk) == {}
