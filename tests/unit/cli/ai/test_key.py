"""Keys from the command line."""

import json

import pytest
from typer.testing import CliRunner

from marchproxy.cli.main import app
from marchproxy.modules.ailb.keys import KeyRing, read_keys

run = CliRunner().invoke


def test_a_new_key_opens_what_its_entry_says():
    found = run(
        app,
        ["ai", "key", "new", "--id", "ann", "--team", "red", "--model", "gpt-*", "--expires", "2999-01-31"],
    )
    assert found.exit_code == 0
    lines = found.stdout.splitlines()
    (shown,) = (line for line in lines if line.startswith("sk-mp-"))
    entry = "\n".join(lines[next(at for at, line in enumerate(lines) if line.startswith("- id:")) :])
    keys = read_keys(f"virtual_keys:\n{entry}\n".encode(), "keys.yaml")
    key = KeyRing(keys).find(shown, 0)
    assert (key.key_id, key.team, key.models) == ("ann", "red", ("gpt-*",))
    assert shown not in entry


def test_for_programs():
    found = json.loads(run(app, ["ai", "key", "new", "--json"]).stdout)
    assert sorted(found["entry"]) == ["hash", "id"]
    assert found["key"].startswith("sk-mp-")


@pytest.mark.parametrize(
    "wrong",
    [
        ["--id", "a b"],
        ["--expires", "soon"],
        ["--expires", "2020-01-31"],
        ["--model", "a*b"],
        ["--priority", "10"],
    ],
)
def test_what_is_not_sound_shows_no_key(wrong):
    found = run(app, ["ai", "key", "new", *wrong])
    assert found.exit_code == 2
    assert f"{wrong[0]}:" in found.stderr
    assert "sk-mp-" not in found.stdout
