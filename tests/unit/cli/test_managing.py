"""The commands that ask a manager, as far as they get without one."""

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marchproxy.cli.main import app

run = CliRunner().invoke
COMMANDS = (
    *("apply", "diff", "export", "revisions", "rollback", "drain", "top", "login", "logout", "completion"),
    *("canary start", "canary status", "canary promote", "canary rollback"),
    *("context list", "context use", "context remove"),
)


@pytest.fixture(autouse=True)
def nobody_is_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.delenv("MARCHPROXY_CONTEXT", raising=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_an_example(command: str) -> None:
    result = run(app, [*command.split(), "--help"], terminal_width=200)
    assert result.exit_code == 0
    assert f"marchproxy {command.split(maxsplit=1)[0]}" in result.stdout


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["apply"], "Missing argument"),
        (["diff", "shop.yaml", "3"], "leave out the revision"),
        (["diff", "3", "zero"], "valid int"),
        (["rollback", "0"], "greater than or equal to 1"),
        (["rollback", "3"], "add --yes"),
        (["rollback", "--json"], "no manager runs"),
        (["revisions", "--manager", "http://127.0.0.1:1"], "--manager needs --key-file"),
        (["login", "manager.example"], "must be a URL"),
        (["login", "http://192.0.2.1:8000"], "in clear text"),
        (["login", "https://manager.example", "--name", "a b"], "--name"),
        (["login", "https://manager.example", "--name", "local"], "this machine's"),
        (["canary", "start", "shop", "v2", "--steps", "5,many"], "whole percent"),
        (["canary", "status", "--watch"], "needs a route"),
        (["drain", "alb-1", "--undrain", "--wait", "5"], "leave it out"),
        (["completion", "tcsh"], "tcsh"),
    ],
)
def test_misuse_says_what_to_do(command: list[str], words: str) -> None:
    result = run(app, command, terminal_width=300)
    assert result.exit_code == (3 if "no manager" in words else 2)
    assert words in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize(
    "command", ["export", "revisions", "rollback --yes", "top --once", "canary status", "drain a"]
)
def test_without_a_manager_one_is_told_how_to_get_one(command: str) -> None:
    result = run(app, command.split())
    assert result.exit_code == 3
    assert "no manager runs on this machine" in result.stderr


def test_a_manager_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    (tmp_path / "key").write_text("k")
    where = ["--manager", f"http://127.0.0.1:{port}", "--key-file", str(tmp_path / "key")]
    result = run(app, ["revisions", *where])
    assert result.exit_code == 3
    assert result.stderr.startswith(f"nobody answers at http://127.0.0.1:{port}: ")
    assert "Traceback" not in result.output


def test_contexts_that_are_not_there() -> None:
    listed = json.loads(run(app, ["context", "list", "--json"]).stdout)
    assert listed == {"current": "local", "contexts": {}}
    for command in (["context", "use", "prod"], ["context", "remove", "prod"], ["logout", "prod"]):
        result = run(app, command)
        assert result.exit_code == 1
        assert 'no context "prod"; known: local' in result.stderr
    assert "nobody is logged in" in run(app, ["logout"]).stderr
    assert run(app, ["context", "use", "local"]).exit_code == 0


def test_faults_of_a_file_are_told_before_anybody_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("routes: [{id: a, pat: /}]\n")
    for command in ("apply --yes", "diff"):
        result = run(app, [*command.split(), str(file)])
        assert result.exit_code == 1
        assert f"{file}:1: routes[0].pat: unknown key" in result.stderr
    told = json.loads(run(app, ["apply", str(file), "--yes", "--json"]).stdout)
    assert told["errors"][0]["path"] == "routes[0].pat"
