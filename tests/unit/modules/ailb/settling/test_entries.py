"""What an Envoy's access log says, as reports."""

import pytest
from envoy.data.accesslog.v3 import accesslog_pb2
from google.protobuf import json_format

from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.settling.entries import left_by, told_by
from marchproxy.modules.ailb.settling.report import Ending, Report


def entry(*, cluster="pool.a", status=200, details="via_upstream", number="7", usage=None, flags=(), **more):
    metadata = {"envoy.filters.http.ext_authz": {"x-ai-id": number}} if number is not None else {}
    if usage is not None:
        metadata["ailb.usage"] = usage
    common = {
        "upstream_cluster": cluster,
        "metadata": {"filter_metadata": metadata},
        "response_flags": dict.fromkeys(flags, True),
    }
    response = {"response_code": status, "response_code_details": details}
    return json_format.ParseDict(
        {"common_properties": common | more, "response": response}, accesslog_pb2.HTTPAccessLogEntry()
    )


def test_all_that_is_told_is_in_the_report():
    told = entry(
        usage={"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 4},
        duration="1.5s",
        custom_tags={"first_byte": "250000"},
        upstream_remote_address={"socket_address": {"address": "127.0.0.1", "port_value": 80}},
    )
    told.response.response_body_bytes = 700
    found = told_by(told)
    assert (found.report, found.relayed) == (
        Report(
            7,
            Ending.COMPLETE,
            "a",
            "127.0.0.1:80",
            200,
            Usage(10, 5, 4),
            first_token=0.25,
            duration=1.5,
            size=700,
        ),
        False,
    )


@pytest.mark.parametrize("number", [None, "", "x", "7 ", "²", "1" * 30])
def test_what_was_not_let_pass_is_nobodys(number):
    assert told_by(entry(number=number)) is None


@pytest.mark.parametrize(
    ("told", "ending"),
    [
        ({}, Ending.COMPLETE),
        ({"cluster": "marchproxy.own"}, Ending.OWN),
        ({"status": 429}, Ending.REFUSED),
        ({"status": 503, "details": "no_healthy_upstream", "cluster": ""}, Ending.UNREACHED),
        ({"status": 504, "details": "response_timeout"}, Ending.UNREACHED),
        ({"status": 200, "details": "stream_idle_timeout"}, Ending.BROKEN),
        ({"details": "upstream_reset_after_response_started{connection_termination}"}, Ending.BROKEN),
        ({"flags": ["upstream_connection_termination"]}, Ending.BROKEN),
        ({"flags": ["downstream_connection_termination"]}, Ending.CLIENT_GONE),
        ({"status": 0, "details": "downstream_remote_disconnect"}, Ending.CLIENT_GONE),
    ],
)
def test_how_it_ended(told, ending):
    found = told_by(entry(**told))
    assert found.report.ending is ending
    assert not found.relayed


@pytest.mark.parametrize(
    ("said", "status", "ending"),
    [
        ("401", 401, Ending.REFUSED),
        ("403", 403, Ending.REFUSED),
        ("²", 502, Ending.REFUSED),
        (None, 502, Ending.UNREACHED),
    ],
)
def test_a_credential_that_was_refused_is_not_the_clients(said, status, ending):
    told = entry(status=502, details="")
    if said is not None:
        told.response.response_headers["x-marchproxy-provider-status"] = said
    report = told_by(told).report
    assert (report.status, report.ending) == (status, ending)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        (None, None),
        ({}, None),
        ({"prompt_tokens": 3}, Usage(3)),
        ({"input_tokens": 10, "output_tokens": 2, "cached_tokens": 4}, Usage(10, 2, 4)),
        (
            {
                "input_tokens": 10,
                "output_tokens": 2,
                "cache_read_input_tokens": 4,
                "cache_creation_input_tokens": 1,
            },
            Usage(15, 2, 4),
        ),
        ({"prompt_tokens": -3, "completion_tokens": 2, "cached_tokens": 9}, Usage(0, 2)),
        ({"prompt_tokens": "Infinity", "completion_tokens": "NaN", "output_tokens": 1e300}, Usage()),
    ],
)
def test_usage_is_counted_as_its_provider_does(told, usage):
    assert told_by(entry(usage=told)).report.usage == usage


@pytest.mark.parametrize(
    ("operation", "text", "usage"),
    [
        (
            "chat",
            '{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}',
            Usage(9, 2, 4),
        ),
        ("responses", '{"input_tokens":9,"output_tokens":2}', Usage(9, 2)),
        ("messages", '{"input_tokens":9,"output_tokens":2,"cache_read_input_tokens":4}', Usage(13, 2, 4)),
        ("chat", "{}", None),
        ("chat", '{"prompt_tokens":9,"a":"}', None),
    ],
)
def test_usage_of_a_whole_answer_is_as_it_was_written(operation, text, usage):
    told = entry(usage={"usage": text})
    told.common_properties.metadata.filter_metadata["envoy.filters.http.ext_authz"]["x-ai-operation"] = (
        operation
    )
    assert told_by(told).report.usage == usage


def test_what_was_let_pass_is_told_with_its_id():
    told = entry()
    told.request.request_id = "r1"
    assert told_by(told).fields == {"x-request-id": "r1"}


def test_what_goes_on_is_not_over():
    assert told_by(entry()).is_over
    assert told_by(entry(access_log_type="DownstreamEnd")).is_over
    assert not told_by(entry(access_log_type="DownstreamPeriodic")).is_over


def test_whose_client_has_gone_before_an_answer_is_known_by_its_id():
    gone = entry(number=None, flags=["downstream_connection_termination"])
    gone.request.request_id = "r1"
    assert (told_by(gone), left_by(gone)) == (None, "r1")
    gone.common_properties.access_log_type = accesslog_pb2.DownstreamPeriodic
    assert left_by(gone) == ""
    assert left_by(entry()) == ""


def test_a_relay_is_told_by_its_cluster():
    found = told_by(entry(cluster="relay.a.b"))
    assert (found.report.pool, found.relayed) == ("a.b", True)
