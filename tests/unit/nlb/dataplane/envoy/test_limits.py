"""What a plan asks for that Envoy cannot keep; each refusal names what can."""

from dataclasses import replace

import pytest

from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.listener import Listener
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.plan import ForwardingPlan, ListenerPlan
from marchproxy.nlb.dataplane.envoy.limits import refused
from marchproxy.nlb.dataplane.plane import Forwarding

WEB = Listener("web", "0.0.0.0", 80)
AI = replace(WEB, name="ai", module_type=ModuleType.AILB)
DNS = Listener("dns", "0.0.0.0", 53, Protocol.UDP)
SIX = Listener("six", "::", 80)


def limit(target: str) -> RateLimit:
    return RateLimit(LimitId("few"), target, per_second=1)


@pytest.mark.parametrize(
    ("listeners", "target", "words"),
    [
        ([WEB], "listener:web", ""),
        ([WEB], "module:alb", ""),
        ([WEB], "source:10.0.0.0/8", ""),
        ([WEB], "client:10.0.0.0/8", "data_plane kernel or detect"),
        ([SIX], "client:10.0.0.0/8", ""),  # no such client can come
        ([replace(SIX, proxy_protocol=True)], "client:10.0.0.0/8", "data_plane kernel or detect"),
        ([DNS], "listener:dns", "data_plane kernel"),
        ([DNS], "module:alb", "data_plane kernel"),
        ([DNS], "source:10.0.0.0/8", "data_plane kernel"),
        ([DNS], "module:ailb", ""),
        ([replace(WEB, max_connections=5)], "source:10.0.0.0/8", ""),
        ([replace(WEB, max_connections=5)], "listener:web", ""),
        ([WEB, AI], "listener:web", ""),
        ([WEB, AI], "source:10.0.0.0/8", ""),
        ([WEB, AI], "listener:ai", 'limit listener "web"'),
        ([WEB, AI], "module:alb", 'limit listener "web"'),
        ([WEB, replace(WEB, name="raw", protocol=Protocol.REDIS)], "module:ailb", "data_plane detect"),
        ([replace(WEB, max_connections_per_source=5)], "module:ailb", "kernel or detect"),
    ],
)
def test_refusals(listeners, target, words):
    plan = ForwardingPlan(tuple(ListenerPlan(listener, ()) for listener in listeners))
    reason = refused(Forwarding(plan, limits=(limit(target),)))
    assert bool(reason) == bool(words), reason
    assert words in reason
