"""Proofs: what shows that a password is known, without showing it.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html
"""

import hashlib
import hmac

NATIVE = "mysql_native_password"
CACHING = "caching_sha2_password"


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def native_hash(password: bytes) -> bytes:
    """What mysql_native_password stores: SHA1(SHA1(password))."""
    return _sha1(_sha1(password))


def native_proof(password: bytes, nonce: bytes) -> bytes:
    """What mysql_native_password sends; nothing for no password."""
    if not password:
        return b""
    return _xor(_sha1(password), _sha1(nonce + native_hash(password)))


def fits_native(stored: bytes, nonce: bytes, proof: bytes) -> bool:
    """Whether a proof was made by who knows the password with this native_hash."""
    if len(proof) != len(stored):
        return False
    return hmac.compare_digest(_sha1(_xor(proof, _sha1(nonce + stored))), stored)


def caching_hash(password: bytes) -> bytes:
    """What the cache of caching_sha2_password has: SHA256(SHA256(password))."""
    return _sha256(_sha256(password))


def caching_proof(password: bytes, nonce: bytes) -> bytes:
    """What caching_sha2_password sends first; nothing for no password."""
    if not password:
        return b""
    return _xor(_sha256(password), _sha256(caching_hash(password) + nonce))


def fits_caching(cached: bytes, nonce: bytes, proof: bytes) -> bool:
    """Whether a proof was made by who knows the password with this caching_hash."""
    if len(proof) != len(cached):
        return False
    return hmac.compare_digest(_sha256(_xor(proof, _sha256(cached + nonce))), cached)


def masked(password: bytes, nonce: bytes) -> bytes:
    """A password and its zero byte under the nonce, as they are encrypted by RSA; the same again takes the mask off."""
    return bytes(byte ^ nonce[at % len(nonce)] for at, byte in enumerate(password))
