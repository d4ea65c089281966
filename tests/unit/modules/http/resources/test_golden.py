"""Desired state in, Envoy's resources out: one folder per feature in tests/golden/alb."""

from pathlib import Path

import pytest
import yaml

from tests.golden.alb.cases import CASES, listeners, resources


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_resources(case: Path, update_golden: bool) -> None:
    built = resources(case, listeners(case))
    golden = case / "resources.yaml"
    if update_golden:
        golden.write_text(yaml.safe_dump(built, sort_keys=True, width=110))
    assert yaml.safe_load(golden.read_text()) == built, "if the difference is meant, run with --update-golden"


def test_there_are_cases() -> None:
    assert len(CASES) > 10
