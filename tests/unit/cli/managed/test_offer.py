import json
from pathlib import Path

import pytest
import typer

from marchproxy.cli.managed.offer import base_of, read_offer

ROUTE = "routes: [{id: a, path: /, response: {status: 200}}]\n"


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("# revision: 7\nroutes: []\n", 7),
        ("\n# exported\n# revision: 12 \nroutes: []\n", 12),
        ("#revision:3", 3),
        ("routes: []\n# revision: 7\n", None),
        ("# revision: soon\n", None),
        ("# revision: " + "9" * 40, None),
        ("", None),
    ],
)
def test_the_revision_stands_in_the_comments_on_top(text: str, base: int | None) -> None:
    assert base_of(text) == base


def test_of_a_whole_file_the_desired_state_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "up.yaml"
    file.write_text("# revision: 3\nnlb: {}\nmanager: {}\n" + ROUTE)
    offer = read_offer(file, as_json=False)
    assert offer.base == 3
    assert json.loads(offer.content)["routes"][0]["id"] == "a"
    assert not {"nlb", "manager"} & json.loads(offer.content).keys()


def test_hidden_secrets_are_left_to_the_manager(tmp_path: Path) -> None:
    file = tmp_path / "export.yaml"
    file.write_text(f"nlb: {{}}\nauthentication: [{{name: sso, jwks_url: '***'}}]\n{ROUTE}")
    assert json.loads(read_offer(file, as_json=False).content)["authentication"] == [
        {"name": "sso", "jwks_url": "***"}
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("routes: [{id: a, pat: /}]\n", "export.yaml:1: routes[0].pat: unknown key"),
        ("rutes: []\n# ***\n", 'did you mean "routes"'),  # also where a secret is hidden
        ("[***", "export.yaml"),
    ],
)
def test_faults_are_told_as_validate_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    file = tmp_path / "export.yaml"
    file.write_text(text)
    with pytest.raises(typer.Exit) as ended:
        read_offer(file, as_json=False)
    assert ended.value.exit_code == 1
    assert words in capsys.readouterr().err


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        read_offer(tmp_path / "none.yaml", as_json=False)
    assert "none.yaml: cannot be read: No such file" in capsys.readouterr().err
