"""Metrics: the families that the NLB's Envoy gives, as a table; see docs/metrics.md. No I/O.

What the planes carry together, and what limits turned away, is in `marchproxy.nlb.service.traffic`.
"""

import re

from marchproxy.engines.envoy.metrics import Source
from marchproxy.engines.envoy.metrics.common import COMMON, updates
from marchproxy.engines.envoy.metrics.upstream import connections, requests, streams
from marchproxy.nlb.dataplane.resources.naming import cluster_name

_CLUSTER = rf"cluster\.{re.escape(cluster_name(''))}"
_WHOSE = "the instances behind a listener"
INSTANCES = Source(
    rf"{_CLUSTER}(?P<listener>.+)\.<stat>",
    {
        **connections("instances", _WHOSE),
        **streams("instances", _WHOSE),
        **requests("instances", "a listener that instances share by request"),
    },
)

#: All of them.
TABLE = (*COMMON, INSTANCES, Source(rf"{_CLUSTER}.+\.<stat>", updates("endpoints")))
