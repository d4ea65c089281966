"""Reports of what was used, from journals of several AILBs."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from marchproxy.cli.ai.usage import NotAQuestion, read_question
from marchproxy.cli.main import app
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.ledger.entry import Entry
from marchproxy.modules.ailb.ledger.file_store import FileStore
from marchproxy.modules.ailb.ledger.periods import DAY, iso, nanoseconds
from marchproxy.modules.ailb.ledger.usage import By
from marchproxy.modules.ailb.ledger.who import Who

run = CliRunner().invoke
NOW = nanoseconds("2030-06-15T12:00:00Z")
ANN = Entry(
    NOW, 1, "r", Who("k1", "ann", "red"), "gpt-4o", "east", Usage(1000, 200, 50), 1_500_000, "complete", True
)
BOB = replace(ANN, who=Who("k2", "bob", "red"), cost=2_000_000, is_counted=False)
LATER = replace(ANN, at=NOW + DAY, model="o1", cost=10)


@pytest.fixture
def state(tmp_path):
    for name, entries in (("one", [ANN, BOB]), ("two", [ANN, LATER])):
        store = FileStore(tmp_path / name / "journal")
        store.append(entries)
        store.close()
    return tmp_path


def rows(state, *options):
    found = run(app, ["ai", "usage", str(state), "--json", "--since", "2030-06-01", *options])
    assert found.exit_code == 0, found.stderr
    return json.loads(found.stdout)


def test_by_key_the_dearest_first(state):
    found = rows(state)
    assert [(row["key"], row["requests"], row["cost"]) for row in found["rows"]] == [
        ("k1", 3, 3.00001),
        ("k2", 1, 2.0),
    ]
    assert found["total"] == {
        "requests": 4, "input": 4000, "output": 800, "cached": 200, "cost": 5.00001, "estimated": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--by", "day"], [("2030-06-15", 3), ("2030-06-16", 1)]),
        (["--by", "month"], [("2030-06", 4)]),
        (["--by", "team"], [("red", 4)]),
        (["--by", "pool", "--where", "user=bob"], [("east", 1)]),
        (["--by", "model", "--until", "2030-06-16"], [("gpt-4o", 3)]),
        (["--by", "model", "--since", "2030-06-16T00:00:00Z"], [("o1", 1)]),
        (["--by", "user", "--where", "team=blue"], []),
        (
            ["--by", "day,user"],
            [("2030-06-15", "ann", 2), ("2030-06-15", "bob", 1), ("2030-06-16", "ann", 1)],
        ),
    ],
)
def test_told_apart_and_chosen(state, options, expected):
    names = options[1].split(",")
    assert [
        (*(row[name] for name in names), row["requests"]) for row in rows(state, *options)["rows"]
    ] == expected


def test_for_people(state):
    found = run(app, ["ai", "usage", str(state), "--since", "2030-06-01"])
    assert found.exit_code == 0
    assert "4,000" in found.stdout
    assert "5.0000" in found.stdout
    assert "of 1 requests nobody has said" in found.stderr


def test_what_clients_call_a_model_is_no_command_to_a_terminal(tmp_path):
    store = FileStore(tmp_path)
    store.append([replace(ANN, model="\x1b[2J\ud800x[red]")])
    store.close()
    found = run(app, ["ai", "usage", str(tmp_path), "--since", "2030-06-01", "--by", "model"])
    assert found.exit_code == 0
    assert "\ufffd[2J\ufffdx[red]" in found.stdout


def test_where_there_is_no_journal(tmp_path):
    found = run(app, ["ai", "usage", str(tmp_path)])
    assert found.exit_code == 1
    assert "no journal" in found.stderr


@pytest.mark.parametrize(
    "options",
    [["--by", "weather"], ["--since", "soon"], ["--where", "red"], ["--where", "a=b"], ["--by", ""]],
)
def test_misuse_is_exit_code_2(state, options):
    assert run(app, ["ai", "usage", str(state), *options]).exit_code == 2


@pytest.mark.parametrize(
    ("since", "begins"),
    [
        ("", "2030-06-01T00:00:00.000Z"),
        ("24h", "2030-06-14T12:00:00.000Z"),
        ("7d", "2030-06-08T12:00:00.000Z"),
    ],
)
def test_since(since, begins):
    question = read_question("key", since, "", [], NOW)
    assert iso(question.since) == begins
    assert question.by == (By.KEY,)


def test_a_question_says_which_option_is_wrong():
    with pytest.raises(NotAQuestion, match="--until"):
        read_question("key", "", "tomorrow", [], NOW)
