"""What spans of requests to language models are tagged with, where there are spans; tests/real tries the expressions."""

from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2

from marchproxy.modules.ailb.resources.spans import tell_spans

Manager = hcm_pb2.HttpConnectionManager


def test_without_traces_nothing_is_done():
    manager = Manager(http_filters=[hcm_pb2.HttpFilter(name="router")])
    tell_spans(manager)
    assert manager == Manager(http_filters=[hcm_pb2.HttpFilter(name="router")])


def test_with_traces_the_conventions_words_are_told():
    manager = Manager(tracing=Manager.Tracing(), http_filters=[hcm_pb2.HttpFilter(name="router")])
    tell_spans(manager)
    tags = {tag.tag: tag for tag in manager.tracing.custom_tags}
    assert set(tags) == {
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "server.address",
        "server.port",
        "error.type",
    }
    assert "== 'messages' ? 'chat' :" in tags["gen_ai.operation.name"].value
    assert [one.name for one in manager.http_filters] == ["marchproxy.ai.spans", "router"]
