"""Whole exchanges, byte for byte as they are on disk; a person reads what changes in them."""

import json

import pytest

from tests.unit.modules.ailb.translate.rig import CASES, Case

cases = pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)


@cases
def test_what_the_provider_is_asked(path, update_golden):
    request = Case.at(path).sent()
    told = {"operation": request.operation.value, "notes": request.notes, "body": json.loads(request.body)}
    same(path / "sent.json", json.dumps(told, indent=2, ensure_ascii=False) + "\n", update_golden)


@cases
def test_what_the_client_is_answered(path, update_golden):
    case = Case.at(path)
    answer = case.answered().decode()
    if case.streamed:
        same(path / "answered.sse", answer, update_golden)
    else:
        text = json.dumps(json.loads(answer), indent=2, ensure_ascii=False) + "\n"
        same(path / "answered.json", text, update_golden)


@cases
@pytest.mark.parametrize("size", [1, 7, 100])
def test_streams_may_be_cut_anywhere(path, size):
    case = Case.at(path)
    assert case.answered(size=size) == case.answered()


def same(path, text, update):
    if update:
        path.write_text(text)
    assert path.read_text() == text
