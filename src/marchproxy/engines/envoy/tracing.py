"""Tracing of requests by Envoy: W3C Trace Context in and out, spans over OTLP/gRPC.

The collector is a cluster like any other and comes over ADS, so that another collector does not need another Envoy.
https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/trace/v3/opentelemetry.proto
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2
from envoy.config.core.v3 import base_pb2, extension_pb2, grpc_service_pb2, protocol_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.trace.v3 import http_tracer_pb2, opentelemetry_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.request_id.uuid.v3 import uuid_pb2
from envoy.extensions.tracers.opentelemetry.resource_detectors.v3 import static_config_resource_detector_pb2
from envoy.extensions.tracers.opentelemetry.samplers.v3 import (
    parent_based_sampler_pb2,
    trace_id_ratio_based_sampler_pb2,
)
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.matcher.v3 import string_pb2
from envoy.type.tracing.v3 import custom_tag_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.messages import duration, pack, socket_address
from marchproxy.kit.telemetry import Service, TracingSection, authorities
from marchproxy.model.rules import ip_address

CLUSTER = "tracing"
#: What the collector may take for one export; later its spans are lost.
EXPORT_SECONDS = 3.0
#: Spans that one worker keeps for the collector; more are dropped.
QUEUE = 1024
_MOST_EXPORTS = 32
# in place of Envoy's own, which has the query in it
_TAGS = {"http.url": "%REQ(:SCHEME)%://%REQ(:AUTHORITY)%%PATH(NQ)%"}
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_SAMPLERS = "envoy.tracers.opentelemetry.samplers"
_PER_MILLION = 10_000  # of a percent
_NO = wrappers_pb2.BoolValue(value=False)
_Options = http_protocol_options_pb2.HttpProtocolOptions
_SanMatcher = common_pb2.SubjectAltNameMatcher


@dataclass(frozen=True, slots=True)
class RequestTracing:
    """Where an Envoy sends its spans and whose they are; `authorities` (PEM) where the collector speaks TLS."""

    section: TracingSection
    service: Service
    authorities: bytes = b""


def request_tracing(section: TracingSection | None, service: Service) -> RequestTracing | None:
    """What an Envoy is told of the section. Raises SettingsError for a `ca` that cannot be used."""
    if section is None:
        return None
    return RequestTracing(section, service, authorities(section) if section.secure else b"")


def collector_cluster(tracing: RequestTracing) -> cluster_pb2.Cluster:
    """The collector. A slow one holds at most a few exports; nothing waits for it to be found or to answer."""
    section = tracing.section
    place = section.collector
    endpoint = endpoint_components_pb2.Endpoint(address=socket_address(place.host, place.port))
    http2 = _Options.ExplicitHttpConfig(http2_protocol_options=protocol_pb2.Http2ProtocolOptions())
    cluster = cluster_pb2.Cluster(
        name=CLUSTER,
        type=cluster_pb2.Cluster.STATIC if ip_address(place.host) else cluster_pb2.Cluster.STRICT_DNS,
        connect_timeout=duration(1),
        wait_for_warm_on_init=wrappers_pb2.BoolValue(value=False),
        dns_lookup_family=cluster_pb2.Cluster.V4_PREFERRED,
        load_assignment=endpoint_pb2.ClusterLoadAssignment(
            cluster_name=CLUSTER,
            endpoints=[
                endpoint_components_pb2.LocalityLbEndpoints(
                    lb_endpoints=[endpoint_components_pb2.LbEndpoint(endpoint=endpoint)]
                )
            ],
        ),
        circuit_breakers=_few_at_once(),
    )
    cluster.typed_extension_protocol_options[_HTTP_OPTIONS].CopyFrom(
        pack(_Options(explicit_http_config=http2))
    )
    if section.secure:
        cluster.transport_socket.CopyFrom(_tls(tracing, place.host))
    return cluster


def trace_requests(manager: Any, tracing: RequestTracing, tags: Mapping[str, str]) -> None:
    """Make an HTTP connection manager trace. Spans are named by route; `tags` are texts with Envoy's %COMMANDS%.

    A request that brings a trace is part of it, and traced as it says; of the others a share is drawn.
    """
    leave_request_ids(manager)
    everything = percent_pb2.Percent(value=100)  # the tracer's sampler decides
    manager.tracing.CopyFrom(
        hcm_pb2.HttpConnectionManager.Tracing(
            # a header of Envoy's own with which clients could have themselves traced
            client_sampling=percent_pb2.Percent(value=0),
            random_sampling=everything,
            overall_sampling=everything,
            spawn_upstream_span=wrappers_pb2.BoolValue(value=True),
            operation="%ROUTE_NAME%",
            upstream_operation="%ROUTE_NAME%",
            custom_tags=[
                custom_tag_pb2.CustomTag(tag=name, value=value) for name, value in {**_TAGS, **tags}.items()
            ],
            provider=http_tracer_pb2.Tracing.Http(
                name="envoy.tracers.opentelemetry", typed_config=pack(_tracer(tracing))
            ),
        )
    )


def leave_request_ids(manager: Any) -> None:
    """An id that a client chose says nothing about whether it is traced, and is not written over to say so."""
    ids = uuid_pb2.UuidRequestIdConfig(pack_trace_reason=_NO, use_request_id_for_trace_sampling=_NO)
    manager.request_id_extension.CopyFrom(hcm_pb2.RequestIDExtension(typed_config=pack(ids)))


def _tracer(tracing: RequestTracing) -> opentelemetry_pb2.OpenTelemetryConfig:
    section, service = tracing.section, tracing.service
    attributes = {"service.instance.id": service.instance, "service.version": service.version}
    detector = static_config_resource_detector_pb2.StaticConfigResourceDetectorConfig(
        attributes={name: value for name, value in attributes.items() if value}
    )
    return opentelemetry_pb2.OpenTelemetryConfig(
        grpc_service=grpc_service_pb2.GrpcService(
            envoy_grpc=grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=CLUSTER),
            timeout=duration(EXPORT_SECONDS),
            initial_metadata=[
                # a % begins a command of Envoy's
                base_pb2.HeaderValue(key=name, value=value.replace("%", "%%"))
                for name, value in section.headers.items()
            ],
        ),
        service_name=service.name(section),
        resource_detectors=[
            extension_pb2.TypedExtensionConfig(
                name="envoy.tracers.opentelemetry.resource_detectors.static_config",
                typed_config=pack(detector),
            )
        ],
        sampler=_sampler(section.sample_percent),
        max_cache_size=wrappers_pb2.UInt32Value(value=QUEUE),
    )


def _sampler(percent: float) -> extension_pb2.TypedExtensionConfig:
    share = percent_pb2.FractionalPercent(
        numerator=round(percent * _PER_MILLION), denominator=percent_pb2.FractionalPercent.MILLION
    )
    by_chance = trace_id_ratio_based_sampler_pb2.TraceIdRatioBasedSamplerConfig(sampling_percentage=share)
    as_the_parent = parent_based_sampler_pb2.ParentBasedSamplerConfig(
        wrapped_sampler=extension_pb2.TypedExtensionConfig(
            name=f"{_SAMPLERS}.trace_id_ratio_based", typed_config=pack(by_chance)
        )
    )
    return extension_pb2.TypedExtensionConfig(
        name=f"{_SAMPLERS}.parent_based", typed_config=pack(as_the_parent)
    )


def _few_at_once() -> circuit_breaker_pb2.CircuitBreakers:
    most = wrappers_pb2.UInt32Value(value=_MOST_EXPORTS)
    thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds(max_requests=most, max_pending_requests=most)
    return circuit_breaker_pb2.CircuitBreakers(thresholds=[thresholds])


def _tls(tracing: RequestTracing, host: str) -> base_pb2.TransportSocket:
    by_address = ip_address(host) is not None
    kind = _SanMatcher.IP_ADDRESS if by_address else _SanMatcher.DNS
    common = tls_pb2.CommonTlsContext(
        tls_params=common_pb2.TlsParameters(tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_2),
        validation_context=common_pb2.CertificateValidationContext(
            trusted_ca=base_pb2.DataSource(inline_bytes=tracing.authorities),
            match_typed_subject_alt_names=[
                _SanMatcher(san_type=kind, matcher=string_pb2.StringMatcher(exact=host))
            ],
        ),
        alpn_protocols=["h2"],
    )
    context = tls_pb2.UpstreamTlsContext(common_tls_context=common, sni="" if by_address else host)
    return base_pb2.TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))
