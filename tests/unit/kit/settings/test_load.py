from typing import Annotated, Literal, NewType

import pytest
from pydantic import Field, ValidationError

from marchproxy.kit.settings import HostPort, Seconds, Section, SettingsError, load, parse, parse_yaml

Name = NewType("Name", str)


class Http(Section):
    kind: Literal["http"]
    path: str = "/"


class Tcp(Section):
    kind: Literal["tcp"]
    seconds: Seconds = 1.0


class Listener(Section):
    name: Name
    protocol: Literal["tcp", "udp"] = "tcp"
    port: int = Field(ge=0, le=65535)
    check: Annotated[Http | Tcp, Field(discriminator="kind")] | None = None


class Nlb(Section):
    grpc: HostPort = HostPort("127.0.0.1", 50050)
    listeners: tuple[Listener, ...] = ()
    peers: tuple[HostPort, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    interval: Seconds = 10.0


class Document(Section):
    id: str = "one"
    nlb: Nlb | None = None


GOOD = "nlb:\n  grpc: '[::1]:7'\n  listeners:\n    - name: web\n      port: 80\n      check: {kind: tcp, seconds: 250ms}\n"


def problems(text, environ=None, **options):
    with pytest.raises(SettingsError) as caught:
        load(Document, text, environ=environ or {}, **options)
    return [problem.render() for problem in caught.value.problems]


def test_a_good_document():
    document = load(Document, GOOD, environ={"PATH": "/bin"})
    assert document.nlb is not None
    assert document.nlb.grpc == HostPort("::1", 7)
    assert document.nlb.listeners[0].check == Tcp(kind="tcp", seconds=0.25)
    with pytest.raises(ValidationError, match="frozen"):
        document.nlb = None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nlb:\n  listners: []\n", ['line 2: nlb.listners: unknown key; did you mean "listeners"?']),
        ("nlb:\n  listeners:\n    - name: web\n", ["line 3: nlb.listeners[0].port: required, but not given"]),
        ("nlb: 3\n", ["line 1: nlb: must be a mapping of keys to values"]),
        ("- 1\n", ["line 1: must be a mapping of keys to values"]),
        ("nlb:\n  interval: -1\n", ["line 2: nlb.interval: must be greater than or equal to 0, not -1"]),
        ("nlb:\n  interval: soon\n", ["line 2: nlb.interval: must be seconds or a duration such as"]),
        ("nlb:\n  grpc: 50050\n", ['line 2: nlb.grpc: must be text such as "127.0.0.1:8080"']),
        ("nlb:\n  peers:\n    - a:1\n    - b\n", ['line 4: nlb.peers[1]: must be "host:port"']),
        ("nlb:\n  interval: .inf\n", ["line 2: nlb.interval: must be a finite number"]),
        (
            "nlb:\n  listeners:\n    - name: web\n      port: 70000\n      protocol: tpc\n",
            [
                "line 4: nlb.listeners[0].port: must be less than or equal to 65535, not 70000",
                "line 5: nlb.listeners[0].protocol: must be 'tcp' or 'udp'",
            ],
        ),
        (
            "nlb:\n  listeners:\n    - {name: a, port: 1, check: {kind: http,\n        pth: /}}\n",
            ['line 4: nlb.listeners[0].check.pth: unknown key; did you mean "path"?'],
        ),
    ],
)
def test_every_error_has_its_line(text, expected):
    found = problems(text)
    assert len(found) == len(expected)
    assert all(got.startswith(wanted) for got, wanted in zip(found, expected, strict=True)), found


@pytest.mark.parametrize(
    ("environ", "get", "value"),
    [
        ({"MARCHPROXY_NLB__GRPC": "localhost:9"}, lambda d: d.nlb.grpc, HostPort("localhost", 9)),
        ({"MARCHPROXY_NLB__INTERVAL": "5m"}, lambda d: d.nlb.interval, 300.0),
        ({"MARCHPROXY_NLB__LISTENERS__0__PORT": "81"}, lambda d: d.nlb.listeners[0].port, 81),
        (
            {"MARCHPROXY_NLB__LISTENERS__1__PORT": "81", "MARCHPROXY_NLB__LISTENERS__1__NAME": "b"},
            lambda d: [x.port for x in d.nlb.listeners],
            [80, 81],
        ),
        ({"MARCHPROXY_NLB__PEERS": "a:1, b:2"}, lambda d: d.nlb.peers, (HostPort("a", 1), HostPort("b", 2))),
        ({"MARCHPROXY_NLB__PEERS": "['a:1']"}, lambda d: d.nlb.peers, (HostPort("a", 1),)),
        ({"MARCHPROXY_NLB__LABELS__ZONE": "x"}, lambda d: d.nlb.labels, {"zone": "x"}),
        ({"MARCHPROXY_NLB__LABELS": "{zone: y}"}, lambda d: d.nlb.labels, {"zone": "y"}),
        ({"MARCHPROXY_ID": ""}, lambda d: d.id, "one"),
        ({"MARCHPROXY_ID": "[x]"}, lambda d: d.id, "[x]"),
        ({"MODULE_ID": "two"}, lambda d: d.id, "two"),
        ({"MODULE_ID": "two", "MARCHPROXY_ID": "three"}, lambda d: d.id, "three"),
        ({"MARCHPROXY_CONFIG": "elsewhere.yaml"}, lambda d: d.id, "one"),
    ],
)
def test_environment(environ, get, value):
    aliases = {"MODULE_ID": ("id",), "MARCHPROXY_CONFIG": ()}
    assert get(load(Document, GOOD, environ=environ, aliases=aliases)) == value


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            {"MARCHPROXY_NLB__GRCP": "x"},
            '$MARCHPROXY_NLB__GRCP: unknown variable; did you mean "MARCHPROXY_NLB__GRPC"?',
        ),
        ({"MARCHPROXY_NLB__GRPC": "x"}, '$MARCHPROXY_NLB__GRPC: nlb.grpc: must be "host:port"'),
        (
            {"MARCHPROXY_NLB__LISTENERS__0__PORT": "x"},
            "$MARCHPROXY_NLB__LISTENERS__0__PORT: nlb.listeners[0].port: must",
        ),
        (
            {"MARCHPROXY_NLB__LISTENERS__7__PORT": "1"},
            "$MARCHPROXY_NLB__LISTENERS__7__PORT: nlb.listeners[7].port: the",
        ),
        ({"MARCHPROXY_NLB__PEERS": "[a"}, "$MARCHPROXY_NLB__PEERS: not readable as YAML"),
        ({"ALB_GRPC": "x"}, '$ALB_GRPC: nlb.grpc: must be "host:port"'),
    ],
)
def test_environment_errors_name_the_variable(environ, expected):
    found = problems(GOOD, environ, aliases={"ALB_GRPC": ("nlb", "grpc")})
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_errors_of_file_and_environment_come_together(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("idd: 1\n")
    found = problems(path, {"MARCHPROXY_X": "1"})
    assert [line.split(": ")[0] for line in found] == ["$MARCHPROXY_X", f"{path}:1"]


def test_secrets_are_not_echoed():
    assert "hunter2" not in "\n".join(problems("nlb:\n  interval: hunter2\n"))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.write_bytes(b"\xff\xfe\xff"), "is not UTF-8 text"),
    ],
)
def test_unreadable_file(tmp_path, make, reason):
    path = tmp_path / "settings.yaml"
    make(path)
    found = problems(path)
    assert len(found) == 1
    assert str(path) in found[0]
    assert reason in found[0]


def test_parse_uses_the_positions_it_is_given():
    document = parse_yaml("a: 1\nport: x\nname: web\n", "x.yaml")
    with pytest.raises(SettingsError) as caught:
        parse(Listener, document.value, document.lines, document.file)
    assert [problem.line for problem in caught.value.problems] == [1, 2]
    assert parse(Listener, {"name": "web", "port": 1}, {}).port == 1
