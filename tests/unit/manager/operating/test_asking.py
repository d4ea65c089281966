"""Asking several parts: all or none."""

from typing import Any

import pytest

from marchproxy.contract.fleet.client import CallFailed
from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.manager.operating.asking import Party, ask_or_undo
from marchproxy.manager.operating.targets import NotDone


class Parts:
    """Modules by their addresses, which do what they are asked, refuse, or do not answer."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        self.asked: list[tuple[str, str]] = []

    async def module(self, address: str, change: Any, *, timeout: float) -> Any:
        assert timeout > 0
        self.asked.append((address, change))
        answer = self._answers[address]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def parties(self) -> list[Party]:
        return [Party(name, self, name) for name in self._answers]  # type: ignore[arg-type]


def done(words: str = "done") -> module_pb2.SetTrafficWeightResponse:
    return module_pb2.SetTrafficWeightResponse(success=True, message=words)


def refused(code: types_pb2.StatusCode.ValueType, words: str) -> module_pb2.SetTrafficWeightResponse:
    return module_pb2.SetTrafficWeightResponse(error=types_pb2.Error(code=code, message=words))


MISSING = refused(types_pb2.STATUS_CODE_NOT_FOUND, "no route")
BUSY = refused(types_pb2.STATUS_CODE_UNAVAILABLE, "Envoy is away")


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"one": done("1"), "two": done("2")}, {"one": "1", "two": "2"}),
        ({"one": done("1"), "two": MISSING}, {"one": "1"}),  # it serves something else
    ],
)
async def test_all_do_it(answers: dict[str, Any], said: dict[str, str]) -> None:
    parts = Parts(**answers)
    assert await ask_or_undo(parts.parties(), "do", "undo") == said  # type: ignore[arg-type]
    assert [what for _, what in parts.asked] == ["do", "do"]


@pytest.mark.parametrize(
    ("answers", "words", "found", "undone"),
    [
        ({"one": done(), "two": BUSY}, "two: Envoy is away", True, ["one"]),
        ({"one": done(), "two": CallFailed("nobody answers")}, "two: nobody answers", True, ["one", "two"]),
        ({"one": MISSING, "two": MISSING}, "no route", False, []),
        ({"one": MISSING, "two": BUSY}, "Envoy is away", True, []),
    ],
)
async def test_or_none(answers: dict[str, Any], words: str, found: bool, undone: list[str]) -> None:
    parts = Parts(**answers)
    with pytest.raises(NotDone, match=words) as error:
        await ask_or_undo(parts.parties(), "do", "undo")  # type: ignore[arg-type]
    assert error.value.found is found
    assert [address for address, what in parts.asked if what == "undo"] == undone
