"""Listed and found endpoints together."""

import pytest

from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool, Endpoint
from marchproxy.modules.http.resources.endpoints import Target, merge

LISTED = Endpoint("10.0.0.1:80", 5)


@pytest.mark.parametrize(
    ("listed", "found", "merged"),
    [
        ((), (), ()),
        ((LISTED,), (), (Target("10.0.0.1:80", 5),)),
        ((LISTED,), (Target("10.0.0.1:80", 9, 3),), (Target("10.0.0.1:80", 5),)),  # listed goes before found
        ((), (Target("b:80", 1, 20), Target("a:80", 1, 10)), (Target("a:80", 1, 0), Target("b:80", 1, 1))),
        ((LISTED,), (Target("b:80", 1, 20),), (Target("10.0.0.1:80", 5), Target("b:80", 1, 1))),
    ],
)  # fmt: skip
def test_merge(listed: tuple[Endpoint, ...], found: tuple[Target, ...], merged: tuple[Target, ...]) -> None:
    assert merge(BackendPool(PoolName("p"), endpoints=listed), found) == merged
