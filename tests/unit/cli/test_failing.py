import pytest
import typer

from marchproxy.cli.failing import failing_clearly
from marchproxy.model.problem import Problem, RefusalCode, Refused

REFUSED = Refused(RefusalCode.INVALID_ARGUMENT, "not like this", [Problem("routes[0].path", "is wrong")])


@pytest.mark.parametrize("error", [REFUSED, ExceptionGroup("group", [ExceptionGroup("inner", [REFUSED])])])
def test_expected_failures_are_told_also_out_of_groups(error, capsys):
    with pytest.raises(typer.Exit) as caught, failing_clearly(Refused):
        raise error
    assert caught.value.exit_code == 1
    assert capsys.readouterr().err == "not like this\n  routes[0].path: is wrong\n"


@pytest.mark.parametrize("error", [ValueError("x"), ExceptionGroup("group", [REFUSED, ValueError("x")])])
def test_other_failures_pass(error):
    with pytest.raises(type(error)), failing_clearly(Refused):
        raise error
