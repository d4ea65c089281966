from typing import Any

from marchproxy.cli.managed.looking import revisions


def head(number: int, name: str, kind: str, reason: str) -> dict[str, Any]:
    return {
        "number": number,
        "created_at": "2026-01-02T03:04:05.678+00:00",
        "author": {"name": name, "kind": kind},
        "reason": reason,
        "summary": {"added": 1, "changed": 0, "removed": 2},
    }


def test_revisions_say_who_and_why_without_touching_the_terminal() -> None:
    rows = revisions(
        [
            head(3, "ann", "user", "red \x1b[31mhot"),
            head(2, "ann", "rollout", "v2"),
            head(1, "local", "local", ""),
        ]
    ).rows
    assert [tuple(row) for row in rows] == [
        ("3", "2026-01-02 03:04:05", "ann", "+1 -2", "red  [31mhot"),
        ("2", "2026-01-02 03:04:05", "ann (rollout)", "+1 -2", "v2"),
        ("1", "2026-01-02 03:04:05", "local", "+1 -2", ""),
    ]
