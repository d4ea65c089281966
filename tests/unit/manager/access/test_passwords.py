import asyncio

import pytest

from marchproxy.manager.access.errors import Throttled, WeakPassword
from marchproxy.manager.access.passwords import Passwords, check_password, one_time_password


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("correct horse", None),
        ("pässwörter", None),
        ("too short", "10 characters or more"),
        ("x" * 1025, "or fewer"),
        ("Administrator", "must not be the name"),
        ("rotartsinimda", "must not be the name"),
        ("aaaaaaaaaaaa", "four different"),
    ],
)
def test_which_passwords_are_taken(password, fault):
    if fault is None:
        check_password(password, "administrator")
    else:
        with pytest.raises(WeakPassword, match=fault):
            check_password(password, "administrator")


def test_one_that_is_made_would_be_taken():
    made = {one_time_password() for _ in range(100)}
    assert len(made) == 100
    for password in made:
        check_password(password, "admin")


async def test_a_password_matches_its_hash_alone():
    passwords = Passwords()
    hashed = await passwords.hashed("correct horse")
    assert hashed.startswith("$argon2id$")
    assert not passwords.outdated(hashed)
    assert await passwords.matches("correct horse", hashed)
    assert not await passwords.matches("correct horsE", hashed)
    assert not await passwords.matches("correct horse", None)
    assert await passwords.matches("pa\u0308sswo\u0308rter", await passwords.hashed("pässwörter"))
    assert not await passwords.matches("correct horse", "no hash at all")


async def test_nobodys_password_is_worked_on_like_anybodys(monkeypatch):
    """What costs time is counted, not timed."""
    passwords, worked = Passwords(), []
    verify = passwords._verify
    monkeypatch.setattr(passwords, "_verify", lambda *given: worked.append(given[1][:30]) or verify(*given))
    hashed = await passwords.hashed("correct horse")
    await passwords.matches("a guess", hashed)
    await passwords.matches("a guess", None)
    assert worked[0] == worked[1] != ""  # the same algorithm with the same costs


async def test_a_crowd_is_turned_away_rather_than_kept_waiting():
    passwords = Passwords()
    hashed = await passwords.hashed("correct horse")
    answers = await asyncio.gather(
        *(passwords.matches("a guess", hashed) for _ in range(80)), return_exceptions=True
    )
    assert sum(isinstance(answer, Throttled) for answer in answers) == 80 - 64
    assert await passwords.matches("correct horse", hashed)
