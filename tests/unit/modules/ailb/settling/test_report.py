"""Reports as they travel."""

import pytest

from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.settling.report import Ending, Garbled, Report, decode


@pytest.mark.parametrize(
    "report",
    [
        Report(0, Ending.UNREACHED),
        Report(7, Ending.COMPLETE, "p", "h:1", 200, Usage(3, 2, 1), 2, 0.5, 0.1, 0.2, 1.0),
        Report(7, Ending.CLIENT_GONE, usage=Usage(), events=9),
    ],
)
def test_a_report_is_a_line(report):
    line = report.encode()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == report


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{}",
        b'{"number":1}',
        b'{"number":-1,"ending":"complete"}',
        b'{"number":true,"ending":"complete"}',
        b'{"number":1,"ending":"else"}',
        b'{"number":1,"ending":"complete","usage":{"input":1}}',
        b'{"number":1,"ending":"complete","usage":3}',
        b'{"number":1,"ending":"complete","events":1.5}',
        b'{"number":1,"ending":"complete","duration":-1}',
        b'{"number":1,"ending":"complete","duration":NaN}',
        b'{"number":1,"ending":"complete","pool":1}',
        b"\xff",
    ],
)
def test_what_is_no_report_is_said_so(line):
    with pytest.raises(Garbled):
        decode(line)


def test_whose_it_is_goes_along_where_it_must():
    report = Report(7, Ending.COMPLETE, fields={"x-ai-who": "a&b"})
    assert decode(report.encode()) == report
    assert decode(report.encode(whole=False)) == Report(7, Ending.COMPLETE)


def test_an_attempt_that_nobody_saw_has_not_the_last_word():
    assert not Report(1, Ending.UNREACHED).is_final
    assert not Report(1, Ending.REFUSED, status=429).is_final
    assert not Report(1, Ending.CLIENT_GONE, events=1).is_final
    assert Report(1, Ending.BROKEN).is_final
