"""With which password a client's connections are opened after it has changed."""

from types import SimpleNamespace

import pytest

from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.module import Protocol
from marchproxy.model.route import Route, RouteId
from marchproxy.modules.dblb.mysql.login import Credentials
from marchproxy.modules.dblb.mysql.moving import renew
from marchproxy.modules.dblb.plan import RoutePlan, Way

NATIVE = "*" + 40 * "A"


def route(text: str | None) -> RoutePlan:
    way = Way(Authentication("w", AuthenticationKind.USERLIST), {} if text is None else {"ann": text})
    return RoutePlan(Route(RouteId("r"), protocol=Protocol.MYSQL), ways=(way,))


@pytest.mark.parametrize(
    ("password", "before", "now", "known", "shown"),
    [
        ("old", "old", "new", {}, "new"),
        ("old", "old", "old", {}, "old"),
        ("old", "old", None, {}, "old"),
        ("old", "old", NATIVE, {}, "old"),  # which shows servers nothing
        ("shown", NATIVE, "new", {}, "shown"),
        ("", "old", "new", {}, ""),  # who came with a certificate
        ("old", "old", "new", {"ann": "old"}, "old"),  # the pool knows better
        ("old", "old", "new", {"bob": "his"}, "new"),
    ],
)
def test_what_a_userlist_says_now_counts_where_it_did_before(password, before, now, known, shown):
    visit = SimpleNamespace(
        who=SimpleNamespace(user="ann"),
        plan=route(before),
        credentials=Credentials("ann", "app", 45, 0, password),
        cluster=SimpleNamespace(upstream=SimpleNamespace(passwords=known)),
    )
    renew(visit, route(now))
    assert visit.credentials == Credentials("ann", "app", 45, 0, shown)
