"""What a process pays for: memory is taken by code that is imported, whether it runs or not."""

import sys
from subprocess import run

import pytest


@pytest.mark.parametrize(
    ("modules", "unwanted"),
    [
        ("marchproxy.cli.service, marchproxy.nlb.server", "marchproxy.modules.http.resources"),
        ("marchproxy.cli.service, marchproxy.nlb.server", "marchproxy.modules.dblb.talk"),
        ("marchproxy.modules.dblb.worker.process", "grpc"),
        ("marchproxy.modules.dblb.worker.process", "marchproxy.modules.dblb.postgres"),
        ("marchproxy.cli.file", "envoy"),  # who validates a file compiles nothing
    ],
)
def test_nobody_pays_for_the_code_of_others(modules: str, unwanted: str) -> None:
    code = f"import sys, {modules}; sys.exit('{unwanted}' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
