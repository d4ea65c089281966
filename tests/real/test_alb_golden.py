"""The golden resources of the modules with an HTTP Envoy as Envoy itself judges them: each case as a static bootstrap."""

from pathlib import Path

import pytest

from marchproxy.modules.ailb.resources.sockets import Sockets
from marchproxy.modules.http.resources import ListenerSpec
from tests.golden.ailb import cases as ailb
from tests.golden.alb.cases import CASES, listeners, resources
from tests.golden.bootstrap import accepted

ANY = [ListenerSpec("http", "127.0.0.1", 10000)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_envoy_accepts(case: Path, tmp_path: Path) -> None:
    assert accepted(resources(case, listeners(case) or ANY), tmp_path) == ""


@pytest.mark.parametrize("case", ailb.CASES, ids=lambda case: case.name)
def test_envoy_accepts_ailb(case: Path, tmp_path: Path) -> None:
    assert accepted(ailb.resources(case, Sockets(tmp_path, 2)), tmp_path) == ""
