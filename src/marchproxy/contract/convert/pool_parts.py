"""Parts of backend pools: TLS, circuit breakers, outlier detection, discovery."""

from marchproxy.contract.convert.faults import Faults
from marchproxy.contract.convert.times import read_seconds, seconds_to_pb
from marchproxy.contract.pb import types_pb2
from marchproxy.model.pool import CircuitBreakers, Discovery, OutlierDetection, UpstreamTls


def tls_to_pb(tls: UpstreamTls) -> types_pb2.UpstreamTls:
    """The message."""
    return types_pb2.UpstreamTls(
        ca=tls.ca,
        server_name=tls.server_name,
        certificate=tls.certificate,
        key=tls.key,
        insecure=tls.insecure,
    )


def tls_from_pb(pb: types_pb2.UpstreamTls) -> UpstreamTls:
    """TLS to the endpoints."""
    return UpstreamTls(pb.ca, pb.server_name, pb.certificate, pb.key, pb.insecure)


def breakers_to_pb(breakers: CircuitBreakers) -> types_pb2.CircuitBreakers | None:
    """The message; None for the default."""
    if breakers == CircuitBreakers():
        return None
    return types_pb2.CircuitBreakers(
        max_connections=breakers.max_connections,
        max_pending_requests=breakers.max_pending_requests,
        max_requests=breakers.max_requests,
        retry_percent=breakers.retry_percent,
    )


def breakers_from_pb(pb: types_pb2.CircuitBreakers) -> CircuitBreakers:
    """The circuit breakers; of an empty message the default."""
    retries = pb.retry_percent if pb.HasField("retry_percent") else CircuitBreakers().retry_percent
    return CircuitBreakers(pb.max_connections, pb.max_pending_requests, pb.max_requests, retries)


def outliers_to_pb(outliers: OutlierDetection) -> types_pb2.OutlierDetection:
    """The message."""
    return types_pb2.OutlierDetection(
        consecutive_errors=outliers.consecutive_errors,
        interval=seconds_to_pb(outliers.interval),
        ejection=seconds_to_pb(outliers.ejection_time),
        max_ejected_percent=outliers.max_ejected_percent,
    )


def read_outliers(pb: types_pb2.OutlierDetection, path: str, faults: Faults) -> OutlierDetection:
    """The detection as far as it can be read; what is left out, or 0, has the model's default."""
    default = OutlierDetection()
    return OutlierDetection(
        consecutive_errors=pb.consecutive_errors or default.consecutive_errors,
        interval=read_seconds(pb.interval, f"{path}.interval", faults) or default.interval,
        ejection_time=read_seconds(pb.ejection, f"{path}.ejection", faults) or default.ejection_time,
        max_ejected_percent=pb.max_ejected_percent or default.max_ejected_percent,
    )


def discovery_to_pb(discovery: Discovery) -> types_pb2.Discovery | None:
    """The message; None for no discovery."""
    if discovery == Discovery():
        return None
    return types_pb2.Discovery(
        dns=discovery.dns,
        srv=discovery.srv,
        file=discovery.file,
        interval=seconds_to_pb(discovery.interval),
    )


def read_discovery(pb: types_pb2.Discovery, path: str, faults: Faults) -> Discovery:
    """The discovery as far as it can be read; of an empty message none."""
    interval = read_seconds(pb.interval, f"{path}.interval", faults) or Discovery().interval
    return Discovery(pb.dns, pb.srv, pb.file, interval)
