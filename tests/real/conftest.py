"""How the real tests run: most of them wait, so two processes share the machine; `busy` files have it to themselves.

A file is one process's (`--dist loadfile`): its servers are started once.
"""

from pathlib import Path

import pytest

#: Files that load the machine, or count what it does in a time.
_BUSY = frozenset({
    "test_alb_chaos",
    "test_alb_floods",
    "test_cli_demo",
    "test_dblb_limits",
    "test_dblb_torture_memory",
    "test_dblb_torture_servers",
    "test_rollouts",
})  # fmt: skip


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "busy: has the machine to itself")
    if hasattr(config, "workerinput"):
        # popen-gw0, in the path of a Unix socket, would leave too little of its 107 bytes
        given = Path(config.option.basetemp)
        config.option.basetemp = str(given.with_name(given.name.removeprefix("popen-gw")))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem in _BUSY:
            item.add_marker(pytest.mark.busy)
