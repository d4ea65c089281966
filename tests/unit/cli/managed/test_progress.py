from typing import Any

from marchproxy.cli.managed.progress import Told


def applying(revision: int | None, phase: str, **parts: str) -> dict[str, Any]:
    return {"revision": revision, "phase": phase, "parts": parts}


def said(told: Told, *steps: dict[str, Any] | None) -> list[str]:
    return [line.plain.strip() for step in steps for line in told.lines(step)]


def test_each_part_is_told_once_for_each_step() -> None:
    told = Told(parent=7)
    assert said(
        told,
        None,
        applying(7, "done", alb="reports"),  # the apply before
        applying(None, "validating", alb="waiting", nlb="waiting"),
        applying(None, "validating", alb="validated", nlb="waiting"),
        applying(8, "applying", alb="applied", nlb="validated"),
        applying(8, "applying", alb="applied", nlb="validated"),
    ) == ["alb: validated", "alb: applied", "nlb: validated"]
    assert not told.ended
    assert told.silent == ("alb",)
    assert said(told, applying(8, "done", alb="reports", nlb="reports")) == ["alb: runs it", "nlb: runs it"]
    assert told.ended
    assert told.silent == ()


def test_what_is_taken_back_is_told() -> None:
    told = Told(parent=7)
    steps = (applying(9, "taking back", alb="refused"), applying(9, "taking back", alb="refused"))
    assert said(told, *steps) == ["it is taken back everywhere", "alb: refused"]
    assert said(told, applying(9, "refused", alb="refused")) == []
    assert told.ended
