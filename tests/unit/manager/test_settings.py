from pathlib import Path

import pytest

from marchproxy.kit.settings import SettingsError, load
from marchproxy.manager.settings import ManagerSettings


def read(text: str) -> ManagerSettings:
    return load(ManagerSettings, text, environ={})


def test_nothing_need_be_said():
    settings = read("{}")
    assert (str(settings.http), str(settings.metrics)) == ("127.0.0.1:8000", "127.0.0.1:9096")
    assert settings.directory().name == "manager-1"
    assert not settings.secure


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("{database: 'mysql://x@y/z'}", "database", "postgresql://user@host"),
        ("{database: 'postgresql://me:secret@db/x'}", "database", "must not hold the password"),
        ("{database_password: /x}", "", "is PostgreSQL's"),
        ("{trusted_proxies: [proxy.internal]}", "trusted_proxies[0]", "10.0.0.0/8"),
        ("{public_url: manager.example}", "public_url", "pattern"),
        ("{public_url: 'https://manager.example/ui/x'}", "public_url", "pattern"),
        ("{session_hours: 0}", "session_hours", "greater than 0"),
        ("{max_body_bytes: 10}", "max_body_bytes", "65536"),
        ("{tls: {cert: /c}}", "tls.key", "required"),
        ("{https: true}", "https", "unknown key"),
    ],
)
def test_what_cannot_be(text, path, words):
    with pytest.raises(SettingsError) as caught:
        read(text)
    (problem,) = caught.value.problems
    assert problem.path == path
    assert words in problem.message
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "secure"),
    [
        ("{}", False),
        ("{public_url: 'http://manager.example'}", False),
        ("{public_url: 'https://manager.example'}", True),
        ("{tls: {cert: /c, key: /k}}", True),
    ],
)
def test_whether_browsers_come_by_https(text, secure):
    assert read(text).secure is secure


def test_what_is_given_is_taken():
    settings = read(
        "{database: 'postgresql://me@[::1]:5432/x', database_password: /p, request_seconds: 2m, trusted_proxies: [10.0.0.0/8, '::1'],"
        " state_dir: /s, id: other}"
    )
    assert settings.request_seconds == 120
    assert settings.directory() == Path("/s/other")
