import pytest

from marchproxy.model.problem import Problem
from marchproxy.modules.base.rules.places import as_sent


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("routes[3].path", "routes[1].path"),
        ("routes[2]", "routes[0]"),
        ("routes[0].priority", 'routes["a"].priority'),  # it was not in the request
        ("pools[0].name", "pools[0].name"),  # another kind of item
        ("routes[9].path", "routes[9].path"),
        ("", ""),
    ],
)
def test_as_sent(path: str, told: str) -> None:
    found = as_sent(Problem(path, "is wrong"), "routes", ["a", "b", "c", "d"], ["c", "d"])
    assert found == Problem(told, "is wrong")
