"""What clients show servers after their passwords have changed."""

import pytest

from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.module import Protocol
from marchproxy.model.route import Route, RouteId
from marchproxy.modules.dblb.plan import RoutePlan, Way
from marchproxy.modules.dblb.postgres.proving import renewed
from marchproxy.modules.dblb.postgres.scram_keys import ScramKeys

HASH, OTHER = "md5" + 32 * "0", "md5" + 32 * "1"
KEYS = ScramKeys(b"client", b"server", b"salt", 4096)
STORED = f"SCRAM-SHA-256$4096:c2FsdA==${43 * 'A'}=:{43 * 'A'}="


def route(*texts: str | None) -> RoutePlan:
    """Of a userlist for each text, where `ann` has it; None: where she is not."""
    ways = tuple(
        Way(
            Authentication(str(number), AuthenticationKind.USERLIST),
            {"bob": "his"} if text is None else {"ann": text},
        )
        for number, text in enumerate(texts)
    )
    return RoutePlan(Route(RouteId("r"), protocol=Protocol.POSTGRES), ways=ways)


@pytest.mark.parametrize(
    ("proof", "before", "now", "shown"),
    [
        ("old", route("old"), route("new"), "new"),
        ("old", route("old"), route("old"), "old"),
        ("old", route("old"), route(None), "old"),
        ("old", route("old"), route(), "old"),
        ("old", route(None, "old"), route(None, "new"), "new"),
        ("old", route("old", "hers"), route("new", "hers"), "new"),
        (HASH, route(HASH), route(OTHER), OTHER),
        ("old", route("old"), route(HASH), HASH),
        ("old", route("old"), route(STORED), "old"),  # which shows servers nothing
        ("old", route(STORED), route("new"), "old"),  # what the client has shown, in the clear
        (KEYS, route(STORED), route("new"), KEYS),
        ("", route("old"), route("new"), ""),  # who came with a certificate
        ("", route(STORED), route("new"), ""),
    ],
)
def test_what_a_userlist_says_now_counts_where_it_did_before(proof, before, now, shown):
    assert renewed(proof, "ann", before, now) == shown
