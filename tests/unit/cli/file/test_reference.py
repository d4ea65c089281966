"""What docs/configuration.md shows of processes' settings is sound."""

import re
from pathlib import Path

import pytest
import yaml

from marchproxy.cli.file.schema import FileDocument, ManagerSection
from marchproxy.contract.document import StateDocument
from marchproxy.engines.envoy.access_log_section import AlwaysLogged
from marchproxy.kit.settings import load
from marchproxy.kit.telemetry import TracingSection
from marchproxy.modules.http.access_log_section import HttpAccessLog
from marchproxy.modules.http.log_fields import FIELDS, USUAL

REFERENCE = (Path(__file__).parents[4] / "docs/configuration.md").read_text()
SHOWN = [
    text
    for text in re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL)
    if not yaml.safe_load(text).keys() <= StateDocument.model_fields.keys()
]


def section(heading: str) -> str:
    (text,) = [
        part for part in re.split(r"^##+ ", REFERENCE, flags=re.MULTILINE) if part.startswith(f"{heading}\n")
    ]
    return text


@pytest.mark.parametrize("text", SHOWN)
def test_every_example_is_sound(text: str) -> None:
    assert load(FileDocument, text, environ={}) != FileDocument()


@pytest.mark.parametrize(
    ("heading", "model"),
    [("access_log", HttpAccessLog), ("tracing", TracingSection), ("manager", ManagerSection)],
)
def test_every_key_is_named(heading: str, model: type) -> None:
    first_table = section(heading).partition("|---|")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", first_table, flags=re.MULTILINE)) == set(model.model_fields)


def test_every_field_of_the_access_log_is_named() -> None:
    text = section("access_log")
    usual, others = text.partition("| field |")[2].split("On request only:")
    assert set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`.*?) \|", usual, re.MULTILINE)))) == set(
        USUAL
    )
    assert set(re.findall(r"`(\w+)`", others.partition("\n\n")[0])) == FIELDS.keys() - USUAL.keys()
    assert all(f"`{key}`" in text for key in AlwaysLogged.model_fields)
