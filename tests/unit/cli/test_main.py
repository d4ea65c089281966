import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marchproxy import __version__
from marchproxy.cli.main import app

EXAMPLE = Path(__file__).parents[3] / "examples" / "first-light.yaml"
run = CliRunner().invoke


def test_version():
    result = run(app, ["--version"])
    assert result.exit_code == 0
    assert result.stdout == f"marchproxy {__version__}\n"


@pytest.mark.parametrize(
    "command",
    [[], ["demo"], ["up"], ["down"], ["nlb"], ["alb"], ["validate"], ["get"], ["explain"], ["set", "weight"], ["set", "promote"]],
)  # fmt: skip
def test_help_is_there_and_hides_the_leash(command):
    result = run(app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.stdout
    assert "--leash" not in result.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["nonsense"],
        ["nlb"],
        ["get", "weather"],
        ["explain", "shop.example"],
        ["alb", "--config", "x", "--replica", "1"],
        ["set", "weight", "v2", "101"],
        ["set", "weight", "v2", "--", "-1"],
        ["set", "promote", "v2", "--steps", "5,many"],
        ["set", "promote", "v2", "--route", "shop", "--listener", "web"],
    ],
)
def test_misuse_is_exit_code_2(command):
    assert run(app, command).exit_code == 2


def test_validate_the_example():
    result = run(app, ["validate", str(EXAMPLE)])
    assert result.exit_code == 0
    assert "is sound" in result.stdout
    assert json.loads(run(app, ["validate", str(EXAMPLE), "--json"]).stdout) == {
        "valid": True,
        "errors": [],
        "warnings": [],
    }


def test_validate_says_who_answers_for_models(tmp_path):
    file = tmp_path / "llm.yaml"
    file.write_text(
        "routes: [{id: llm, path: /v1, ai: {models: [{name: fast, targets: [p, {pool: q, tier: 1}]}]}}]\n"
        "pools: [{name: p, ai: {}}, {name: q, ai: {}}]\n"
    )
    result = run(app, ["validate", str(file)])
    assert result.exit_code == 0, result.stderr
    assert "llm: any host, path /v1 → fast by p, q" in " ".join(result.stdout.split())


def test_validate_says_who_takes_streams(tmp_path):
    file = tmp_path / "live.yaml"
    file.write_text(
        "routes:\n"
        "  - {id: live, protocol: rtmp, rtmp: {apps: [live], streams: [a, b]}, backends: [p]}\n"
        "  - {id: rest, protocol: rtmp}\n"
        "pools: [{name: p, protocol: rtmp, endpoints: ['a:1935']}]\n"
    )
    result = run(app, ["validate", str(file)])
    assert result.exit_code == 0, result.stderr
    said = " ".join(result.stdout.split())
    assert "live: apps live, streams a, b → p 100 %" in said
    assert "rest: any stream → the module itself" in said


def test_validate_says_what_shares_an_address_and_who_keeps_a_limit(tmp_path):
    file = tmp_path / "shared.yaml"
    file.write_text(
        "nlb: {}\n"
        "listeners:\n"
        "  - {name: web, address: '0.0.0.0:7000'}\n"
        "  - {name: cache, address: '0.0.0.0:7000', protocol: redis, module: dblb}\n"
        "  - {name: shop, address: '0.0.0.0:443', protocol: https, server_names: [shop.example]}\n"
        "rate_limits:\n"
        "  - {id: calm, target: 'listener:web', requests_per_second: 5}\n"
        "  - {id: all, target: '*', requests_per_second: 5}\n"
    )
    result = run(app, ["validate", str(file)])
    assert result.exit_code == 0, result.stderr
    said = " ".join(result.stdout.split())  # the table is wrapped
    for words in (
        "cache at 0.0.0.0:7000 (redis → dblb), told from others by the first bytes",
        "shop at 0.0.0.0:443 for shop.example (https → alb) ",
        "calm on listener:web, kept by the NLB",
        "all on *, kept by the modules",
    ):
        assert words in said


def test_validate_tells_every_error_with_its_line(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("nlb: {}\nroutes:\n  - id: a\n    pat: /\n  - id: b\n    timeout: soon\n")
    result = run(app, ["validate", str(file)])
    assert result.exit_code == 1
    assert f"{file}:4: routes[0].pat: unknown key" in result.stderr
    assert f"{file}:6: routes[1].timeout" in result.stderr
    data = json.loads(run(app, ["validate", str(file), "--json"]).stdout)
    assert [(error["line"], error["path"]) for error in data["errors"]] == [
        (4, "routes[0].pat"),
        (6, "routes[1].timeout"),
    ]


@pytest.mark.parametrize(
    "command",
    [
        ["get", "modules"],
        ["explain", "http://127.0.0.1:1/"],
        ["set", "rollback"],
        ["set", "limit", "shop", "5"],
    ],
)
def test_an_nlb_that_is_not_there_is_one_clear_line(command):
    result = run(app, [*command, "--nlb", "127.0.0.1:1"])
    assert result.exit_code == 1
    assert result.stderr.startswith("nobody answers at 127.0.0.1:1, the address of the NLB: is it running")
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("text", "command", "words"),
    [
        ("modules: []", ["nlb", "--config"], "no section `nlb`"),
        ("nlb: {}", ["alb", "--config"], "no module of type alb"),
        ("nlb: {grpc: here}", ["nlb", "--config"], "nlb.grpc: must be"),
        ("{}", ["up"], "nothing to run"),
    ],
)
def test_a_file_that_does_not_serve_is_one_clear_line(tmp_path, text, command, words):
    file = tmp_path / "f.yaml"
    file.write_text(text)
    options = ["--state-dir", str(tmp_path / "state")] if command == ["up"] else []
    result = run(app, [*command, str(file), *options])
    assert result.exit_code == 1
    assert words in result.stderr
    assert "Traceback" not in result.output
