"""How the real tests are divided among processes (`-n`): whole files, for what is started for one serves all its tests."""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

#: Files that load the machine, or count what it does in a time. They come first, and one after another.
_BUSY = (
    "test_alb_chaos",
    "test_alb_fleet",
    "test_alb_floods",
    "test_alb_limits",
    "test_cli_demo",
    "test_dblb_limits",
    "test_dblb_mysql_sysbench",
    "test_dblb_torture_clients",
    "test_dblb_torture_memory",
    "test_dblb_torture_servers",
    "test_kernel_plane",
    "test_nftables",
    "test_nlb_bad_input",
    "test_planes",
    "test_rollouts",
    "test_scaling",
)


class _Files(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "busy" if file.endswith(tuple(f"/{name}.py" for name in _BUSY)) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    return _Files(config, log)
