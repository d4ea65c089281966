import os
import socket

import pytest

from marchproxy.kit.settings import SettingsError, load
from marchproxy.modules.http.access_log import AccessLogFile
from marchproxy.modules.http.access_log_section import HttpAccessLog
from marchproxy.modules.http.log_fields import FIELDS, USUAL


def section(text="{}"):
    return load(HttpAccessLog, text, environ={})


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("{}", dict(USUAL)),
        ("fields: [status, route, query]", {name: FIELDS[name] for name in ("status", "route", "query")}),
        ("fields: {when: time, tenant: '%REQ(X-TENANT)%'}", {"when": "%START_TIME%", "tenant": "%REQ(X-TENANT)%"}),
    ],
)  # fmt: skip
def test_fields(text, fields):
    assert section(text).fields == fields


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fields: [status, statsu]", 'fields: unknown field "statsu"; did you mean "status"?'),
        ("fields: [status, status]", 'fields: "status" is named twice'),
        ("fields: []", "fields"),
        ("fields: {code: statsu}", 'code: "statsu" is no field; did you mean "status"?'),
        ("fields: {code: '%RESPONS_CODE%'}", 'code: unknown operator %RESPONS_CODE%; did you mean "RESPONSE_CODE"?'),
        ("fields: {agent: '%REQ%'}", "agent: %REQ% must say of what"),
        ("fields: {'a b': status}", "fields"),
        ("always: {status_from: 99}", "always.status_from"),
        ("always: {slower_than: 0}", "always.slower_than"),
        ("sample_percent: 101", "sample_percent"),
        ("sample: 5", 'did you mean "sample_percent"'),
    ],
)  # fmt: skip
def test_bad_settings_are_named(text, words):
    with pytest.raises(SettingsError) as raised:
        section(text)
    assert words in str(raised.value)


def test_what_envoy_is_told(tmp_path):
    read = section("{path: a.log, sample_percent: 5, always: {status_from: 500, slower_than: 250ms}}")
    log = AccessLogFile(read, tmp_path).resource()
    assert (log.path, log.percent, log.status_from, log.slower_than) == (
        str(tmp_path / "a.log"),
        5,
        500,
        0.25,
    )
    assert (tmp_path / "a.log").exists()


def test_an_absolute_path_stays(tmp_path):
    read = section(f"path: {tmp_path}/elsewhere/a.log")
    assert AccessLogFile(read, tmp_path / "state").path == tmp_path / "elsewhere" / "a.log"


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"access_log\.path: .*file/a\.log cannot be written"):
        AccessLogFile(section("path: file/a.log"), tmp_path)


def test_stdout_is_one_path_whoever_we_are(tmp_path, capfd):
    log = AccessLogFile(section("path: stdout"), tmp_path)
    again = AccessLogFile(section("path: stdout"), tmp_path)  # the link of a process before us is replaced
    assert log.path == again.path == tmp_path / "access.stdout"
    with log.path.open("a") as file:
        file.write("a line\n")
    assert "a line" in capfd.readouterr().out


def test_stdout_that_is_a_socket_is_refused(tmp_path):
    one, other = socket.socketpair()
    ours = os.dup(1)
    try:
        os.dup2(one.fileno(), 1)
        with pytest.raises(SettingsError, match=r"access_log\.path: .*is it a socket\? Name a file"):
            AccessLogFile(section("path: stdout"), tmp_path)
    finally:
        os.dup2(ours, 1)
        os.close(ours)
        one.close()
        other.close()
