"""Upstream: what Envoy counts of a cluster and its endpoints, as a table.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/upstream/cluster_manager/cluster_stats
"""

from collections.abc import Mapping

from marchproxy.engines.envoy.metrics.family import counter, gauge, histogram
from marchproxy.engines.envoy.metrics.source import Cell, cell

CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
_TLS_REASONS = {
    "ssl.connection_error": "handshake",
    "ssl.fail_verify_error": "not_trusted",
    "ssl.fail_verify_san": "wrong_name",
}


def connections(prefix: str, whose: str) -> Mapping[str, Cell]:
    """The cells of connections to endpoints and of the endpoints; `prefix` of the families, `whose` in their words."""
    endpoints = gauge(f"{prefix}_endpoints", f"Endpoints of {whose}, by state; total counts every one.")
    overflows = counter(
        f"{prefix}_overflows", f"What a circuit breaker of {whose} refused, by what was full."
    )
    errors = counter(
        f"{prefix}_tls_errors", f"TLS handshakes with endpoints of {whose} that failed, by reason."
    )
    checks = counter(f"{prefix}_health_checks", f"Health checks of endpoints of {whose}, by result.")
    failures = counter(f"{prefix}_connect_failures", f"Connections to endpoints of {whose} that failed.")
    return {
        "upstream_cx_total": cell(counter(f"{prefix}_connections", f"Connections to endpoints of {whose}.")),
        "upstream_cx_active": cell(gauge(f"{prefix}_connections_open", f"Those of {whose} that are open.")),
        "upstream_cx_connect_fail": cell(failures),
        "upstream_cx_rx_bytes_total": cell(counter(f"{prefix}_received_bytes", f"Bytes from {whose}.")),
        "upstream_cx_tx_bytes_total": cell(counter(f"{prefix}_sent_bytes", f"Bytes to {whose}.")),
        "upstream_cx_overflow": cell(overflows, full="connections"),
        "upstream_rq_pending_overflow": cell(overflows, full="pending"),
        "upstream_rq_active_overflow": cell(overflows, full="requests"),
        "upstream_rq_retry_overflow": cell(overflows, full="retries"),
        "membership_total": cell(endpoints, state="total"),
        "membership_healthy": cell(endpoints, state="healthy"),
        "membership_degraded": cell(endpoints, state="degraded"),
        "outlier_detection.ejections_active": cell(endpoints, state="ejected"),
        "outlier_detection.ejections_enforced_total": cell(
            counter(
                f"{prefix}_ejections", f"Times that an endpoint of {whose} was left out for its failures."
            )
        ),
        "lb_healthy_panic": cell(
            counter(f"{prefix}_panics", f"Choices among all endpoints of {whose}, because none was healthy.")
        ),
        "health_check.success": cell(checks, result="ok"),
        "health_check.failure": cell(checks, result="failed"),
        "ssl.handshake": cell(
            counter(f"{prefix}_tls_handshakes", f"TLS handshakes with endpoints of {whose} that completed.")
        ),
        **{stat: cell(errors, reason=reason) for stat, reason in _TLS_REASONS.items()},
    }


def requests(prefix: str, whose: str) -> Mapping[str, Cell]:
    """The cells of requests that were answered from behind; `prefix` of the families, `whose` in their words."""
    answers = counter(f"{prefix}_requests", f"Requests of {whose} that were answered, by class of status.")
    took = f"Time from a request of {whose} to the end of its answer, in seconds."
    return {
        **{f"upstream_rq_{name}": cell(answers, **{"class": name}) for name in CLASSES},
        "upstream_rq_time": cell(histogram(f"{prefix}_request_seconds", took)),
        "upstream_rq_retry": cell(counter(f"{prefix}_retries", f"Further attempts at requests of {whose}.")),
        "upstream_rq_timeout": cell(
            counter(f"{prefix}_timeouts", f"Requests of {whose} that took too long.")
        ),
    }


def streams(prefix: str, whose: str) -> Mapping[str, Cell]:
    """The cells of requests as streams to endpoints: those open, and those cut off."""
    resets = counter(f"{prefix}_resets", f"Streams to endpoints of {whose} that were cut off, by whom.")
    waiting = gauge(f"{prefix}_requests_waiting", f"Requests of {whose} that wait for a connection.")
    return {
        "upstream_rq_active": cell(gauge(f"{prefix}_requests_open", f"Requests of {whose} that are open.")),
        "upstream_rq_pending_active": cell(waiting),
        "upstream_rq_rx_reset": cell(resets, by="endpoint"),
        "upstream_rq_tx_reset": cell(resets, by="envoy"),
    }
