"""Metrics: the families that an ALB's Envoy gives, as a table; see docs/metrics.md. No I/O.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/stats
"""

import re

from marchproxy.engines.envoy.metrics import Source
from marchproxy.engines.envoy.metrics.common import COMMON, updates
from marchproxy.engines.envoy.metrics.family import counter, gauge, histogram
from marchproxy.engines.envoy.metrics.source import Cell, cell
from marchproxy.engines.envoy.metrics.upstream import CLASSES, connections, requests, streams
from marchproxy.modules.http.resources.clusters import REACHING, cluster_name
from marchproxy.modules.http.resources.connection_manager import STAT_PREFIX
from marchproxy.modules.http.resources.route_stats import COMPLETED, PREFIX, TAG, TIME
from marchproxy.modules.http.resources.tokens import STAT_PREFIX as TOKENS

_CONNECTIONS = counter("downstream_connections", "Connections of clients, by the version of HTTP.")
_DOWNSTREAM = counter("downstream_requests", "Requests that were answered, by class of status.")
_RESETS = counter("downstream_resets", "Requests that were cut off, by whom.")
_REFUSED = counter("downstream_refusals", "Requests that went no further, by reason.")
_FETCHES = counter("token_key_fetches", "Fetches of the keys that sign tokens, by what came of them.")
_DECISIONS = counter(
    "rate_limit_decisions", "Requests that met a rate limit, by its scope and what came of it."
)

HTTP = Source(
    rf"http\.{re.escape(STAT_PREFIX)}\.<stat>",
    {
        **{
            f"downstream_cx_{name}_total": cell(_CONNECTIONS, protocol=name)
            for name in ("http1", "http2", "http3")
        },
        "downstream_cx_active": cell(gauge("downstream_connections_open", "Connections that are open.")),
        "downstream_cx_ssl_active": cell(
            gauge("downstream_tls_connections_open", "Of these, those with TLS.")
        ),
        "downstream_cx_upgrades_active": cell(
            gauge(
                "downstream_upgrades_open", "Of these, those that became something else, such as WebSockets."
            )
        ),
        "downstream_cx_rx_bytes_total": cell(counter("downstream_received_bytes", "Bytes from clients.")),
        "downstream_cx_tx_bytes_total": cell(counter("downstream_sent_bytes", "Bytes to clients.")),
        **{f"downstream_rq_{name}": cell(_DOWNSTREAM, **{"class": name}) for name in CLASSES},
        "downstream_rq_active": cell(gauge("downstream_requests_open", "Requests that are open.")),
        "downstream_rq_time": cell(
            histogram(
                "downstream_request_seconds", "Time from a request to the end of its answer, in seconds."
            )
        ),
        "downstream_rq_rx_reset": cell(_RESETS, by="client"),
        "downstream_rq_tx_reset": cell(_RESETS, by="envoy"),
        "no_route": cell(_REFUSED, reason="no_route"),
        "no_cluster": cell(_REFUSED, reason="no_pool"),
        "rbac.denied": cell(_REFUSED, reason="address"),
        "downstream_cx_protocol_error": cell(_REFUSED, reason="protocol_error"),
        "downstream_rq_header_timeout": cell(_REFUSED, reason="header_timeout"),
        "downstream_rq_idle_timeout": cell(_REFUSED, reason="idle_timeout"),
        "downstream_rq_too_large": cell(_REFUSED, reason="too_large"),
        "downstream_rq_overload_close": cell(_REFUSED, reason="overload"),
        "rq_direct_response": cell(
            counter(
                "downstream_local_answers",
                "Requests that a route answered by itself, by redirect or response.",
            )
        ),
    },
)
# filters that a matcher runs do not know whose they are; the one for tokens, which stands by itself, does
AUTHENTICATION = Source(
    rf"http\.(?:{re.escape(STAT_PREFIX)})?\.<stat>",
    {
        "basic_auth.denied": cell(_REFUSED, reason="password"),
        "api_key_auth.unauthorized": cell(_REFUSED, reason="api_key"),
        "api_key_auth.forbidden": cell(_REFUSED, reason="api_key"),
        "jwt_authn.denied": cell(_REFUSED, reason="token"),
        f"jwt_authn.{TOKENS}.denied": cell(_REFUSED, reason="token"),
        f"jwt_authn.{TOKENS}.jwks_fetch_success": cell(_FETCHES, result="fetched"),
        f"jwt_authn.{TOKENS}.jwks_fetch_failed": cell(_FETCHES, result="failed"),
    },
)
ROUTE_UPDATES = Source(rf"http\.{re.escape(STAT_PREFIX)}\.rds\..+\.<stat>", updates("routes"))
ROUTES = Source(
    rf"{PREFIX}\.<stat>\.{TAG}\.(?:(?P<class>\d)\d\d/)?\d+/[^/]*/(?P<route>[^/]+)",
    {
        COMPLETED: cell(
            counter("route_requests", "Requests of a route that were answered, by class of status.")
        ),
        TIME: cell(
            histogram(
                "route_request_seconds", "Time from a route's request to the end of its answer, in seconds."
            )
        ),
    },
)
_REQUESTS = requests("pool", "a pool")
_REACHING = "|".join(map(re.escape, REACHING))
# what reached the router, though it may have met no endpoint
POOL_ANSWERS = Source(
    rf"{PREFIX}\.<stat>\.{TAG}\.(?:(?P<class>\d)\d\d/)?[1-9]\d*/(?:{_REACHING})(?P<pool>[^/]+)/[^/]*",
    {
        COMPLETED: Cell(_REQUESTS["upstream_rq_2xx"].family),
        TIME: _REQUESTS["upstream_rq_time"],
    },
)
_POOL = rf"cluster\.{re.escape(cluster_name(''))}"
# of requests, those are in here that Envoy makes itself, as for keys that sign tokens
POOLS = Source(
    rf"{_POOL}(?P<pool>.+)\.<stat>",
    {**_REQUESTS, **streams("pool", "a pool"), **connections("pool", "a pool")},
)
ENDPOINT_UPDATES = Source(rf"{_POOL}.+\.<stat>", updates("endpoints"))
LIMITS = Source(
    r"limit_(?P<scope>\w+)\.http_local_rate_limit\.<stat>",
    {"ok": cell(_DECISIONS, decision="allowed"), "rate_limited": cell(_DECISIONS, decision="limited")},
)

#: All of them.
TABLE = (*COMMON, HTTP, AUTHENTICATION, ROUTE_UPDATES, ROUTES, POOL_ANSWERS, POOLS, ENDPOINT_UPDATES, LIMITS)
