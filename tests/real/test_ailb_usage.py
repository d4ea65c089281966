"""What Envoy reads of usage from whole answers; it gives these itself."""

import json
from pathlib import Path
from typing import Any

import httpx
from google.protobuf.json_format import MessageToDict

from marchproxy.engines.envoy.process import EnvoyProcess, EnvoySettings
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.settings.types import HostPort
from marchproxy.modules.ailb.resources.usage import usage_filters
from tests.ports import free_port

TYPE = "type.googleapis.com/envoy.extensions.filters."
USED = '{"prompt_tokens":3,"prompt_tokens_details":{"cached_tokens":1},"completion_tokens":2}'
LIE = '{"prompt_tokens":0,"completion_tokens":0}'
# each answer, and the `usage` that is read from it
WHOLE = [
    (f'{{"choices":[{{"a":"b"}}],"usage":{USED}}}', USED),
    (f'{{"usage":{USED},"choices":[{{"a":"b"}}]}}', USED),
    (f' {{ "usage"\n:\t{USED} , "fingerprint":"f", "none":null}}\r\n', USED),
    (f'{{"text":"\\"usage\\":{LIE[:1]}","usage":{USED},"last":"\\\\"}}', USED),
    (f'{{"usage":{USED},"text":"\\"usage"}}', USED),
    (f'{{"usage":{USED},"include":["usage"]}}', USED),
    # arguments of tools, schemas that a client sent
    (f'{{"content":[{{"input":{{"usage":{LIE}}}}}],"usage":{USED}}}', USED),
    (f'{{"usage":{USED},"tools":[{{"usage":{LIE}}}]}}', USED),
    (f'{{"usage":{USED},"tools":{{"usage":{LIE}}},"more":{{}}}}', USED),
    (f'{{"input":{{"usage":{LIE}}},"more":1}}', ""),
    (f'{{"input":{{"usage":{LIE}}}}}', ""),
    (f'[{{"usage":{LIE}}}]', ""),
    # of an answer that was cut off behind it, it is true all the same
    (f'{{"usage":{USED},"choi', USED),
    # nothing, or what is none
    ('{"usage":null}', ""),
    ('{"usage":3}', ""),
    ('{"a":"usage"}', ""),
    ('{"usage":{"a":1', ""),
    ('{"usage', ""),
    ('"usage"', ""),
    ("]}]}" * 9, ""),
    ('{"usage":{"a":"\u00e9"}}', ""),
    ('{"usage":{"a":"' + "x" * 4000 + '"}}', '{"a":"' + "x" * 4000 + '"}'),
    ('{"usage":{"a":"' + "x" * 4090 + '"}}', ""),
]


def bootstrap(port: int) -> bytes:
    """Answer n is at `/n/`; a header of it says what was read."""
    routes = [_route(number, body, "application/json") for number, (body, _) in enumerate(WHOLE)]
    routes.append(_route(len(WHOLE), WHOLE[0][0], "text/plain"))
    script = MessageToDict(next(iter(usage_filters())), preserving_proto_field_name=True)
    read = {"header": {"key": "x-read", "value": "%DYNAMIC_METADATA(ailb.usage:usage)%"}}
    mutation = {
        "@type": TYPE + "http.header_mutation.v3.HeaderMutation",
        "mutations": {"response_mutations": [{"append": read}]},
    }
    manager = {
        "@type": TYPE + "network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "route_config": {
            "max_direct_response_body_size_bytes": 8192,
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}],
        },
        "http_filters": [
            {"name": "read", "typed_config": mutation},
            {"name": script["name"], "typed_config": script["typed_config"]},
            {"name": "router", "typed_config": {"@type": TYPE + "http.router.v3.Router"}},
        ],
    }
    listener = {
        "name": "test",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    document = {
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {"listeners": [listener]},
    }
    return json.dumps(document).encode()


def _route(number: int, body: str, kind: str) -> dict[str, Any]:
    said = {"header": {"key": "content-type", "value": kind}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {
        "match": {"prefix": f"/{number}/"},
        "direct_response": {"status": 200, "body": {"inline_string": body}},
        "response_headers_to_add": [said],
    }


async def test_only_the_usage_of_the_answer_itself_is_read(tmp_path: Path) -> None:
    port = free_port()
    settings = EnvoySettings(
        node_id="n", cluster="c", admin=HostPort("127.0.0.1", 0), concurrency=1, run_dir=tmp_path / "run"
    )
    async with (
        EnvoyProcess(settings, bootstrap=bootstrap(port), clock=SystemClock()),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        for number, (body, wanted) in enumerate([*WHOLE, (WHOLE[0][0], "")]):
            answer = await client.get(f"/{number}/")
            assert answer.text == body
            assert answer.headers.get("x-read", "") == wanted, body
