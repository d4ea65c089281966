import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.trace.v3.opentelemetry_pb2 import OpenTelemetryConfig
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.tracers.opentelemetry.samplers.v3.parent_based_sampler_pb2 import (
    ParentBasedSamplerConfig,
)
from envoy.extensions.tracers.opentelemetry.samplers.v3.trace_id_ratio_based_sampler_pb2 import (
    TraceIdRatioBasedSamplerConfig,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import UpstreamTlsContext

from marchproxy.engines.envoy.tracing import (
    RequestTracing,
    collector_cluster,
    request_tracing,
    trace_requests,
)
from marchproxy.kit.settings import SettingsError
from marchproxy.kit.telemetry import Service, TracingSection

ME = Service("alb", "alb-1", "v2")


def tracing(endpoint="http://10.0.0.9:4317", **more):
    return RequestTracing(TracingSection(endpoint=endpoint, **more), ME, b"ca")


@pytest.mark.parametrize(
    ("endpoint", "kind", "host", "port"),
    [
        ("http://10.0.0.9:4317", Cluster.STATIC, "10.0.0.9", 4317),
        ("http://[fd00::1]", Cluster.STATIC, "fd00::1", 4317),
        ("http://otel.example:14317", Cluster.STRICT_DNS, "otel.example", 14317),
    ],
)
def test_the_collector_is_found_by_address_or_name(endpoint, kind, host, port):
    cluster = collector_cluster(tracing(endpoint))
    place = cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address
    assert (cluster.type, place.address, place.port_value) == (kind, host, port)
    assert not cluster.HasField("transport_socket")
    assert cluster.circuit_breakers.thresholds[0].max_requests.value < 100  # a slow one holds little


@pytest.mark.parametrize(("host", "sni"), [("otel.example", "otel.example"), ("10.0.0.9", "")])
def test_tls_knows_whom_it_speaks_to(host, sni):
    context = UpstreamTlsContext()
    assert collector_cluster(tracing(f"https://{host}")).transport_socket.typed_config.Unpack(context)
    validation = context.common_tls_context.validation_context
    assert context.sni == sni
    assert validation.trusted_ca.inline_bytes == b"ca"
    assert [name.matcher.exact for name in validation.match_typed_subject_alt_names] == [host]


def test_a_manager_that_traces():
    manager = HttpConnectionManager()
    trace_requests(manager, tracing(sample_percent=12.5, headers={"x-key": "50%"}), {"marchproxy.pool": "p"})
    found = manager.tracing
    assert found.client_sampling.value == 0
    assert found.spawn_upstream_span.value
    tags = {tag.tag: tag.value for tag in found.custom_tags}
    assert tags["marchproxy.pool"] == "p"
    assert "PATH(NQ)" in tags["http.url"]  # no query
    tracer = OpenTelemetryConfig()
    assert found.provider.typed_config.Unpack(tracer)
    parent, ratio = ParentBasedSamplerConfig(), TraceIdRatioBasedSamplerConfig()
    assert tracer.sampler.typed_config.Unpack(parent)
    assert parent.wrapped_sampler.typed_config.Unpack(ratio)
    assert ratio.sampling_percentage.numerator == 125_000
    assert tracer.service_name == "marchproxy-alb"
    assert [(h.key, h.value) for h in tracer.grpc_service.initial_metadata] == [("x-key", "50%%")]


def test_without_a_section_there_is_none():
    assert request_tracing(None, ME) is None


def test_authorities_are_read_for_tls_alone(tmp_path):
    plain = TracingSection(endpoint="http://otel", ca=tmp_path / "none")
    assert request_tracing(plain, ME).authorities == b""
    with pytest.raises(SettingsError, match=r"tracing\.ca: cannot read"):
        request_tracing(plain.model_copy(update={"endpoint": "https://otel"}), ME)
