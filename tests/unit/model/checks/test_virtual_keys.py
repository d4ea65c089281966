"""What is wrong with virtual keys, and where."""

from dataclasses import replace

import pytest

from marchproxy.model.ai import VirtualKey
from marchproxy.model.checks.virtual_keys import check_virtual_keys

KEY = VirtualKey("ann", "a" * 64, models=("gpt-*", "o1"), expires="2030-01-31T12:00:00Z")


def test_sound_keys():
    assert not list(check_virtual_keys([KEY, VirtualKey("bob", "b" * 64, expires="2030-01-31")]))


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"key_id": ""}, "id"),
        ({"key_id": "a b"}, "id"),
        ({"hash": "A" * 64}, "hash"),
        ({"hash": "sk-secret"}, "hash"),
        ({"models": ("o1", "g*t")}, "models[1]"),
        ({"models": ("",)}, "models[0]"),
        ({"expires": "soon"}, "expires"),
        ({"priority": 10}, "priority"),
    ],
)
def test_a_fault_has_its_place_and_keeps_secrets(changed, path):
    (problem,) = check_virtual_keys([replace(KEY, **changed)])
    assert problem.path == f"virtual_keys[0].{path}"
    assert "secret" not in problem.message


@pytest.mark.parametrize(("field", "other"), [("id", {"hash": "b" * 64}), ("hash", {"key_id": "bob"})])
def test_two_of_a_kind(field, other):
    (problem,) = check_virtual_keys([KEY, replace(KEY, **other)])
    assert problem.path == f"virtual_keys[1].{field}"
