"""What keeps a pool alive under trouble: health checks, circuit breakers, a retry budget, outlier detection.

https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/upstream/circuit_breaking and …/upstream/outlier
"""

from envoy.config.cluster.v3 import circuit_breaker_pb2, outlier_detection_pb2
from envoy.config.core.v3 import health_check_pb2
from envoy.type.v3 import percent_pb2, range_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.messages import duration
from marchproxy.model.module import Protocol
from marchproxy.model.pool import CircuitBreakers, HealthCheck, OutlierDetection

_UNLIMITED = 2**31 - 1
_LEAST_RETRIES = 100
_LONGEST_EJECTIONS = 10  # times the first one: the most that an endpoint is left out that never gets well


def circuit_breakers(breakers: CircuitBreakers) -> circuit_breaker_pb2.CircuitBreakers:
    """No ceilings by default: Envoy's own (1,024 requests, 3 retries at once) are traps that nobody asked for."""
    thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds
    return circuit_breaker_pb2.CircuitBreakers(
        thresholds=[
            thresholds(
                max_connections=_count(breakers.max_connections or _UNLIMITED),
                max_pending_requests=_count(breakers.max_pending_requests or _UNLIMITED),
                max_requests=_count(breakers.max_requests or _UNLIMITED),
                # a share of the live requests may be retries, so that retries cannot bury a failing pool; where few
                # requests are live a share of them would be none
                retry_budget=thresholds.RetryBudget(
                    budget_percent=percent_pb2.Percent(value=breakers.retry_percent),
                    min_retry_concurrency=_count(_LEAST_RETRIES if breakers.retry_percent else 0),
                ),
            )
        ]
    )


def outlier_detection(outliers: OutlierDetection) -> outlier_detection_pb2.OutlierDetection:
    """Ejection by errors in a row and by nothing else: Envoy's statistical ejections need no consent to be on."""
    return outlier_detection_pb2.OutlierDetection(
        consecutive_5xx=_count(outliers.consecutive_errors),
        interval=duration(outliers.interval),
        base_ejection_time=duration(outliers.ejection_time),
        max_ejection_time=duration(outliers.ejection_time * _LONGEST_EJECTIONS),
        max_ejection_percent=_count(outliers.max_ejected_percent),
        enforcing_consecutive_5xx=_count(100),
        enforcing_success_rate=_count(0),
        enforcing_consecutive_gateway_failure=_count(0),
    )


def health_check(
    check: HealthCheck, protocol: Protocol, *, tls: bool = False
) -> health_check_pb2.HealthCheck:
    """GET of a path, or a TCP (or TLS) connection where there is none."""
    over_http2 = protocol in {Protocol.HTTP2, Protocol.GRPC}
    message = health_check_pb2.HealthCheck(
        timeout=duration(check.timeout),
        interval=duration(check.interval),
        # Envoy's default is 60 s until a cluster has had traffic: a canary would be judged by stale health
        no_traffic_interval=duration(check.interval),
        no_traffic_healthy_interval=duration(check.interval),
        interval_jitter_percent=10,
        unhealthy_threshold=_count(check.unhealthy_threshold),
        healthy_threshold=_count(check.healthy_threshold),
    )
    if check.path:
        message.http_health_check.path = check.path
        message.http_health_check.expected_statuses.append(range_pb2.Int64Range(start=200, end=300))
        if over_http2:
            message.http_health_check.codec_client_type = "HTTP2"
        if tls:  # the check speaks one protocol, whatever an endpoint would choose
            message.tls_options.alpn_protocols.append("h2" if over_http2 else "http/1.1")
    else:
        message.tcp_health_check.SetInParent()
    return message


def _count(number: int) -> wrappers_pb2.UInt32Value:
    return wrappers_pb2.UInt32Value(value=number)
