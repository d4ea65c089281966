"""What `marchproxy get` knows."""

from marchproxy.cli.look.get import _LOOKS
from marchproxy.cli.look.subject import Subject


def test_every_subject_can_be_looked_at():
    assert set(_LOOKS) == set(Subject)
