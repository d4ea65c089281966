"""SHA-crypt, by vectors of others: hashcat's example of MySQL (mode 7401), and those of its specification."""

import pytest

from marchproxy.wire.mysql.sha_crypt import read_verifier, sha256_crypt

SALT = bytes.fromhex("F9CC98CE08892924F50A213B6BC571A2C11778C5")
DIGEST = b"bTy95Y99eAME1dwEkHOA1ndHGBWz.1bxSSRkuTXFGV/"
STORED = b"$A$005$" + SALT + DIGEST


def test_the_password_fits_and_no_other():
    verifier = read_verifier(STORED)
    assert verifier.fits(b"hashcat")
    assert not verifier.fits(b"hashcats")
    assert not verifier.fits(b"")


@pytest.mark.parametrize(
    ("password", "salt", "rounds", "digest"),
    [
        (b"Hello world!", b"saltstring", 5000, b"5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
        (b"Hello world!", b"saltstringsaltst", 10000, b"3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"),
        (
            b"a very much longer text to encrypt.  This one even stretches over morethan one line.",
            b"anotherlongsalts",
            1400,
            b"Rx.j8H.h8HjEDGomFU8bDkXm3XIUnzyxf12oP84Bnq1",
        ),
    ],
)
def test_the_specifications_own(password, salt, rounds, digest):
    assert sha256_crypt(password, salt, rounds) == digest


@pytest.mark.parametrize(
    "stored", [b"", b"*" + b"0" * 40, STORED[:-1], STORED + b"x", b"$A$00x" + STORED[6:]]
)
def test_what_is_no_verifier(stored):
    assert read_verifier(stored) is None
