from pathlib import Path

import pytest

from marchproxy.cli.file import load_file
from marchproxy.kit.settings import HostPort, SettingsError

GOOD = """\
nlb: {grpc: "0.0.0.0:7000"}
modules:
  - {id: alb-1, type: alb}
listeners:
  - {name: web, address: "127.0.0.1:8000"}
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "f.yaml"
    file.write_text(text)
    return file


def problems(folder: Path, text: str, environ=None) -> list[tuple[int | None, str, str]]:
    with pytest.raises(SettingsError) as caught:
        load_file(write(folder, text), environ or {})
    return [(problem.line, problem.path, problem.message) for problem in caught.value.problems]


def test_a_module_without_nlbs_registers_with_the_files_own(tmp_path):
    loaded = load_file(write(tmp_path, GOOD), {})
    assert loaded.document.modules[0].nlbs == (HostPort("127.0.0.1", 7000),)
    assert loaded.state.listeners[0].name == "web"
    assert loaded.warnings == ()


def test_a_module_keeps_the_nlbs_it_names(tmp_path):
    text = GOOD.replace("type: alb}", 'type: alb, nlbs: ["10.0.0.1:7000"]}')
    assert load_file(write(tmp_path, text), {}).document.modules[0].nlbs == (HostPort("10.0.0.1", 7000),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            GOOD.replace("- {id: alb-1, type: alb}", "- {id: alb-1, type: alb}\n  - {id: alb-1, type: alb}"),
            [(4, "modules[1].id", '"alb-1" is already the id of modules[0].id (line 3)')],
        ),
        (
            GOOD.replace("id: alb-1", "id: nlb-1"),
            [(3, "modules[0].id", '"nlb-1" is already the id of nlb.id (line 1, by default)')],
        ),
        (
            GOOD.replace("type: alb}", 'type: alb, grpc: "127.0.0.1:7000"}'),
            [(3, "modules[0].grpc", "127.0.0.1:7000 is already taken by nlb.grpc (line 1)")],
        ),
        (  # a listener on every address takes the port of any
            GOOD.replace("127.0.0.1:8000", "0.0.0.0:10000"),
            [(5, "listeners[0].address", "0.0.0.0:10000 is already taken by modules[0].traffic (line 3, by default)")],
        ),
        (  # the port of HTTP/3 is that of datagrams
            GOOD.replace("type: alb}", 'type: alb, tls_traffic: "127.0.0.1:8443", http3: true, https: {self_signed: [a.example]}}').replace(
                '"127.0.0.1:8000"', '"127.0.0.1:8443", protocol: http3'
            ),
            [(5, "listeners[0].address", "127.0.0.1:8443 is already taken by modules[0].tls_traffic (line 3)")],
        ),
        (GOOD.replace("name: web", "nam: web"), [
            (5, "listeners[0].name", "required, but not given"),
            (5, "listeners[0].nam", 'unknown key; did you mean "name"?'),
        ]),
        (GOOD.replace("nlb:", "nlp:"), [
            (1, "nlp", 'unknown key; did you mean "nlb"?'),
        ]),
        (
            GOOD + 'xds:\n  grpc: "127.0.0.1:8000"\n  nodes:\n    - {listeners: [web, wob]}\n    - {routes: [r]}\n',
            [
                (5, "listeners[0].address", "127.0.0.1:8000 is already taken by xds.grpc (line 7)"),
                (9, "xds.nodes[0].listeners[1]", 'no listener "wob"; known: web'),
                (10, "xds.nodes[1].routes[0]", 'no route "r"; known: none'),
            ],
        ),
        (  # faults of the state and of the file, together and in order
            GOOD.replace("type: alb}", 'type: alb, grpc: "127.0.0.1:7000"}')
            + "routes:\n  - {id: r, backends: [nope]}\n",
            [
                (3, "modules[0].grpc", "127.0.0.1:7000 is already taken by nlb.grpc (line 1)"),
                (7, "routes[0].backends[0].pool", 'no pool "nope"; there are none'),
            ],
        ),
    ],
)  # fmt: skip
def test_every_error_has_its_line(tmp_path, text, expected):
    found = problems(tmp_path, text)
    assert [item for item in expected if item in found] == expected
    others = [path for _, path, _ in found if path not in {path for _, path, _ in expected}]
    # a second ALB or a clash of defaults may bring more of the same kind, but nothing else
    assert all(path.startswith("modules[1]") for path in others)


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("127.0.0.1:8000", "127.0.0.2:10000"),  # another address of the loopback
        GOOD.replace('"0.0.0.0:7000"', '"127.0.0.1:0"').replace("type: alb}", 'type: alb, grpc: "127.0.0.1:0"}'),
        GOOD.replace('address: "127.0.0.1:8000"', 'protocol: udp, address: "127.0.0.1:10000"'),
    ],
)  # fmt: skip
def test_ports_that_do_not_clash(tmp_path, text):
    load_file(write(tmp_path, text), {})


def test_listeners_may_be_there_for_the_control_plane_alone(tmp_path):
    text = GOOD.replace('nlb: {grpc: "0.0.0.0:7000"}', "xds: {}")
    assert load_file(write(tmp_path, text), {}).warnings == ()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (GOOD.replace('nlb: {grpc: "0.0.0.0:7000"}\n', ""), 3, "no section `nlb`"),
        (GOOD.replace("name: web", "name: web, module: dblb"), 5, "no dblb among `modules`"),
    ],
)
def test_warnings(tmp_path, text, line, words):
    (warning,) = load_file(write(tmp_path, text), {}).warnings
    assert warning.line == line
    assert words in warning.message


def test_the_environment_lies_over_the_file(tmp_path):
    environ = {"MARCHPROXY_NLB__GRPC": "127.0.0.1:7777", "MARCHPROXY_NLB": "127.0.0.1:1"}
    loaded = load_file(write(tmp_path, GOOD), environ)
    assert loaded.document.nlb is not None
    assert loaded.document.nlb.grpc == HostPort("127.0.0.1", 7777)


def test_an_unknown_variable_is_named(tmp_path):
    (found,) = problems(tmp_path, GOOD, {"MARCHPROXY_NLB__GPRC": "x:1"})
    assert 'did you mean "MARCHPROXY_NLB__GRPC"' in found[2]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"nowhere\.yaml: cannot be read: No such file"):
        load_file(tmp_path / "nowhere.yaml", {})


TRACING = GOOD + "tracing: {endpoint: http://otel:4317}\n"


def test_one_section_tracing_holds_for_every_process(tmp_path):
    document = load_file(write(tmp_path, TRACING), {}).document
    (module,) = document.modules
    assert document.nlb.tracing == module.tracing == document.tracing
    assert document.tracing.endpoint == "http://otel:4317"


def test_a_process_may_have_a_collector_of_its_own(tmp_path):
    text = TRACING.replace("type: alb}", "type: alb, tracing: {endpoint: http://other:4317}}")
    document = load_file(write(tmp_path, text), {}).document
    assert document.modules[0].tracing.endpoint == "http://other:4317"
    assert document.nlb.tracing == document.tracing


def test_without_it_nobody_traces(tmp_path):
    document = load_file(write(tmp_path, GOOD), {}).document
    assert document.tracing is document.nlb.tracing is document.modules[0].tracing is None


def test_its_collector_may_come_from_the_environment(tmp_path):
    environ = {"MARCHPROXY_TRACING__ENDPOINT": "http://otel:4317", "MARCHPROXY_TRACING__SAMPLE_PERCENT": "7"}
    document = load_file(write(tmp_path, GOOD), environ).document
    assert document.modules[0].tracing.sample_percent == 7


def test_what_a_module_of_the_file_cannot_do_is_told(tmp_path):
    text = """\
modules:
  - {id: db-1, type: dblb, postgres: "127.0.0.1:6432"}
pools:
  - {name: db, protocol: postgres, discovery: {dns: "db.internal:5432"}}
routes:
  - {id: r, protocol: postgres, backends: [db]}
"""
    words = "a DBLB does not look for servers; list them in `endpoints`"
    assert problems(tmp_path, text)[0] == (4, "pools[0].discovery.dns", words)
    assert load_file(write(tmp_path, text[text.index("pools:") :]), {}).document.modules == ()


def test_what_a_module_of_streams_cannot_do_is_told(tmp_path):
    text = """\
modules:
  - {id: rtmp-1, type: rtmp}
pools:
  - {name: p, protocol: rtmp, balance: random, endpoints: ["a:1"]}
routes:
  - {id: r, protocol: rtmp, backends: [p]}
"""
    line, path, words = problems(tmp_path, text)[0]
    assert (line, path) == (4, "pools[0].balance")
    assert "rtmp.pick says which origin" in words


@pytest.mark.parametrize("name", ["first-light.yaml", "databases.yaml", "llm.yaml", "streaming.yaml"])
def test_the_examples_are_sound(name):
    loaded = load_file(Path(__file__).parents[4] / "examples" / name, {})
    assert loaded.state.routes
    assert loaded.warnings == ()


SPENDING = """\
routes: [{id: llm, path: /v1, ai: {models: [{name: fast, targets: [p], aliases: [small]}, {name: "gpt-*", targets: [p]}]}}]
pools: [{name: p, ai: {}}]
virtual_keys: [{id: ci, hash: "%s", user: ann, team: search}]
allowances:
""" % ("0" * 64)


@pytest.mark.parametrize(
    ("allowance", "told"),
    [
        ("{id: a, target: 'key:ci', concurrent: 1}", []),
        ("{id: a, target: 'user:*', concurrent: 1}", []),
        ("{id: a, target: 'model:gpt-4o', concurrent: 1}", []),
        ("{id: a, target: 'key:ic', concurrent: 1}", ['no virtual key is of key "ic"']),
        ("{id: a, target: 'user:bob', concurrent: 1}", ['no virtual key is of user "bob"']),
        ("{id: a, target: 'team:shop', concurrent: 1}", ['no virtual key is of team "shop"']),
        ("{id: a, target: 'model:small', concurrent: 1}", ['no route offers a model "small" by that name']),
        ("{id: a, target: '*', budget_day: 1}", ["without `prices` nothing costs anything"]),
    ],
)
def test_what_is_hardly_meant_of_allowances(tmp_path, allowance, told):
    warnings = load_file(write(tmp_path, f"{SPENDING}  - {allowance}\n"), {}).warnings
    assert [warning.message for warning in warnings] == told
    assert all(warning.line == 5 for warning in warnings)


@pytest.mark.parametrize(
    ("prices", "told"),
    [
        ("[]", []),
        ("[{model: '*', input: 1, output: 1}]", []),
        ("[{model: sim*, input: 1, output: 1}, {model: big, input: 0, output: 0}]", ['"bigger"']),
        ("[{model: large*, input: 1, output: 1}, {model: s*, input: 1, output: 1}]", []),
        ("[{model: sim-1, input: 1, output: 1}, {model: large, input: 1, output: 1}]", ['"sim*"']),
        ("[{model: sim*, input: 1, output: 1}]", ['"big", "bigger"']),
    ],
)
def test_models_without_a_price_are_told_where_others_have_one(tmp_path, prices, told):
    text = f"""\
pools:
  - {{name: one, endpoints: ["127.0.0.1:1"], ai: {{provider: vllm}}}}
  - {{name: two, endpoints: ["127.0.0.1:1"], ai: {{provider: vllm}}}}
routes:
  - id: llm
    path: /
    ai:
      models:
        - {{name: sim*, targets: [one]}}
        - {{name: large, targets: [{{pool: one, model: big}}, {{pool: two, model: bigger, tier: 1}}]}}
prices: {prices}
"""
    warnings = load_file(write(tmp_path, text), {}).warnings
    assert [
        warning.message.partition("`prices` has no ")[2].partition(", nor")[0] for warning in warnings
    ] == told
    assert {warning.line for warning in warnings} <= {9, 10}


def test_keys_that_are_not_in_the_document_may_be_in_a_file(tmp_path):
    text = "allowances: [{id: a, target: 'key:ci', concurrent: 1}]\n"
    assert load_file(write(tmp_path, text), {}).warnings == ()


STREAMS = """\
nlb: {}
modules:
  - {id: rtmp-1, type: rtmp}
  - {id: rtmp-2, type: rtmp, grpc: "127.0.0.1:1", health: "127.0.0.1:2", metrics: "127.0.0.1:3", traffic: "127.0.0.1:4", playback: null}
routes:
  - {id: kept, protocol: rtmp, rtmp: {apps: [kept]}}
  - {id: sent, protocol: rtmp, backends: [origins], rtmp: {apps: [sent]}}
  - {id: web}
pools:
  - {name: origins, protocol: rtmp, endpoints: ["10.0.0.1:1935"]}
"""
_KEPT = (6, "routes[0].id", "would keep the streams that come to it, and players of another one find nothing")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (STREAMS, [_KEPT]),
        (
            STREAMS.replace(
                "origins, protocol: rtmp", "origins, protocol: rtmp, rtmp: {pick: least_streams}"
            ),
            [_KEPT, (10, "pools[0].rtmp.pick", "least_streams is decided by each of 2 instances for itself")],
        ),
        (
            STREAMS.replace(
                "routes:",
                "listeners:\n  - {name: watch, address: '127.0.0.1:8099', protocol: dash, module: rtmp}\nroutes:",
            ),
            [(8, *_KEPT[1:])],  # only one of them is watched
        ),
        (
            STREAMS.replace("playback: null", 'playback: "127.0.0.1:5"').replace(
                "routes:",
                "listeners:\n  - {name: watch, address: '127.0.0.1:8099', protocol: dash, module: rtmp}\nroutes:",
            ),
            [(6, "listeners[0].balance", "`source_hash` keeps viewers where they are"), (8, *_KEPT[1:])],
        ),
        (
            STREAMS.replace("playback: null", 'playback: "127.0.0.1:5"').replace(
                "routes:",
                "listeners:\n  - {name: watch, address: '127.0.0.1:8099', protocol: hls, module: rtmp, balance: source_hash}\nroutes:",
            ),
            [(8, *_KEPT[1:])],
        ),
        ("".join(line for line in STREAMS.splitlines(keepends=True) if "rtmp-2" not in line), []),
        (
            "".join(line for line in STREAMS.splitlines(keepends=True) if "rtmp-2" not in line)
            + "scaling:\n  - {module: rtmp, max_instances: 3, target_cpu_percent: 50}\n",
            [(5, *_KEPT[1:])],
        ),
    ],
)
def test_streams_that_another_instance_would_not_find(tmp_path, text, expected):
    warnings = load_file(write(tmp_path, text), {}).warnings
    assert [(one.line, one.path) for one in warnings] == [(line, path) for line, path, _ in expected]
    assert all(words in one.message for one, (_, _, words) in zip(warnings, expected, strict=True))
