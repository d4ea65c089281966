"""What every test run understands: `--update-golden` rewrites the golden files for a person to read the difference.

Generated inputs are the same in every run, so that a run is judged by what changed and not by luck; `make fuzz` looks for
new ones (`--hypothesis-profile=fuzz`). What it finds becomes an `@example` or a table's row.
"""

import pytest
from hypothesis import HealthCheck, settings

import marchproxy  # noqa: F401 - before grpc is: it switches off fork handlers that crash children

# no deadline for one example: a busy machine is no failure
settings.register_profile("check", derandomize=True, database=None, deadline=None, print_blob=True)
settings.register_profile(
    "fuzz",
    max_examples=3_000,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("check")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files anew")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))
