"""Credentials: what is refused of a file, where the fault is said to be, and that no fault tells a secret."""

from pathlib import Path

import pytest

from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.modules.http.credentials import UnreadableCredentials, read_credentials

SHA = "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="
BASIC, API_KEY, JWT = AuthenticationKind.BASIC, AuthenticationKind.API_KEY, AuthenticationKind.JWT


def way(kind: AuthenticationKind, file: Path) -> Authentication:
    return Authentication("way", kind, file=str(file))


@pytest.mark.parametrize(
    ("kind", "text", "lines"),
    [
        (BASIC, f"# all\n\nann:{SHA}\r\n bob:{SHA} \n", (f"ann:{SHA}", f"bob:{SHA}")),
        (API_KEY, "one:k:1\ntwo:k2", ("one:k:1", "two:k2")),
        (JWT, '{"keys": [{"kty": "RSA"}]}\n', ('{"keys": [{"kty": "RSA"}]}\n',)),
    ],
)
def test_sound_files(tmp_path: Path, kind: AuthenticationKind, text: str, lines: tuple[str, ...]) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    (found,) = read_credentials([way(kind, file)]).values()
    assert found.lines == lines
    assert lines[0] not in repr(found)


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (BASIC, b"", "has no entry"),
        (BASIC, b"# only words\n", "has no entry"),
        (BASIC, b"ann:$apr1$secret", "entry 1 is not user:{SHA}digest"),
        (BASIC, b"ann:{SHA}c2VjcmV0", "entry 1 is not user:{SHA}digest"),
        (BASIC, b"ann:{SHA}=secret=", "entry 1 is not user:{SHA}digest"),
        (BASIC, f"ann:{SHA}\nann:{SHA}".encode(), "entry 2 has the user of entry 1"),
        (BASIC, b"\xff\xfesecret", "not UTF-8"),
        (BASIC, b"x" * (1 << 20) + b"secret", "longer than"),
        (API_KEY, b"secret", "entry 1 is not name:key"),
        (API_KEY, b"one:secret\ntwo:secret", "entry 2 has the key of entry 1"),
        (JWT, b"secret", "is not a JWKS"),
        (JWT, b"[]", "is not a JWKS"),
        (JWT, b'{"keys": []}', "has no keys"),
        (JWT, b'{"keys": [{"k": "secret"}]}', "has no keys, or one without its type"),
    ],
)
def test_faulty_files(tmp_path: Path, kind: AuthenticationKind, text: bytes, words: str) -> None:
    sound, faulty = tmp_path / "sound", tmp_path / "faulty"
    sound.write_text(f"ann:{SHA}")
    faulty.write_bytes(text)
    with pytest.raises(UnreadableCredentials) as error:
        read_credentials([way(BASIC, sound), way(kind, faulty)])
    (problem,) = error.value.problems
    assert problem.path == "authentication[1].file"
    assert words in str(problem)
    assert "secret" not in str(problem)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCredentials, match="No such file"):
        read_credentials([way(BASIC, tmp_path / "none")])
