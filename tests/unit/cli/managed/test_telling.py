from typing import Any

import pytest

from marchproxy.cli.managed.telling import told

CONFLICT = {"path": "routes/shop.path", "ours": "/a", "theirs": "/b"}
GONE = {"path": "pools/x", "ours": {"name": "x", "endpoints": ["127.0.0.1:80"] * 20}, "theirs": None}


@pytest.mark.parametrize(
    ("status", "problem", "lines"),
    [
        (404, {"detail": 'there is no revision "7"'}, ['there is no revision "7"']),
        (502, {}, ["HTTP 502"]),
        (
            401,
            {"detail": "nobody is signed in"},
            ["nobody is signed in", "log in again: marchproxy login URL"],
        ),
        (
            422,
            {
                "detail": "routes[0].path: must begin with / (and 1 more)",
                "problems": [
                    {"path": "routes[0].path", "message": "must begin with /"},
                    {"path": "routes[0].path", "message": "must begin with /"},
                    {"path": "", "message": "too large"},
                ],
            },
            ["routes[0].path: must begin with /", "too large"],
        ),
        (
            409,
            {"detail": "revision 8 by ann changed the same", "conflicts": [CONFLICT, GONE], "revision": 8},
            [
                "revision 8 by ann changed the same",
                "  routes/shop.path: here /a, in force /b",
                "  pools/x: here name: x endpoints: - 127.0.0.1:80 - 127.0.0.1:80 - 127.0.0.…, in force nothing",
                "nothing was changed; `marchproxy export` has revision 8: make your change in that, and apply it again",
            ],
        ),
        (503, {"detail": "busy", "problems": []}, ["busy", "try again in a moment"]),
    ],
)
def test_every_fault_has_a_line_and_there_is_a_remedy(
    status: int, problem: dict[str, Any], lines: list[str]
) -> None:
    assert list(told(status, problem)) == lines
