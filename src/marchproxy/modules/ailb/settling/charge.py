"""Charge: what a request is taken to have used, when its end is told. Pure; see docs/adr/0031-reserve-then-settle.md."""

from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.decision.under_way import Passed
from marchproxy.modules.ailb.settling.report import Ending, Report

_NOTHING = Usage()
_FREE = frozenset({Ending.OWN, Ending.REFUSED, Ending.UNREACHED})
_FIRST_FAULT = 400


def charge(passed: Passed, report: Report) -> Usage | None:
    """None: nobody can say, so it is guessed, or what was reserved.

    What the provider said counts. Else a stream is its pieces, and a prompt that was estimated; what was cut before anything
    was answered is nothing.
    """
    if report.ending in _FREE or report.status >= _FIRST_FAULT:
        return report.usage or _NOTHING
    if report.usage is not None:
        return report.usage
    if report.events is not None and passed.stream:
        return Usage(passed.expected.input, report.events) if report.events else _NOTHING
    if report.ending is Ending.COMPLETE or report.first_token is not None:
        return None
    return _NOTHING
