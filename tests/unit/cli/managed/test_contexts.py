from pathlib import Path

import pytest

from marchproxy.cli.managed.contexts import (
    LOCAL,
    Context,
    Contexts,
    contexts_file,
    read_contexts,
    write_contexts,
)
from marchproxy.kit.settings import SettingsError

HERE = Context(url="https://a.example:8000", key="mp_secret", key_id="key-1", user="ann")


@pytest.mark.parametrize(
    ("environ", "file"),
    [
        ({"XDG_CONFIG_HOME": "/x"}, "/x/marchproxy/config.yaml"),
        ({"XDG_CONFIG_HOME": "", "HOME": "/home/ann"}, "/home/ann/.config/marchproxy/config.yaml"),
        ({"HOME": "/home/ann"}, "/home/ann/.config/marchproxy/config.yaml"),
    ],
)
def test_where_they_are_kept(environ: dict[str, str], file: str) -> None:
    assert contexts_file(environ) == Path(file)


def test_what_is_written_is_read_and_nobody_else_can(tmp_path: Path) -> None:
    file = tmp_path / "marchproxy" / "config.yaml"
    assert read_contexts(file) == Contexts()
    contexts = Contexts().with_context("prod", HERE)
    write_contexts(file, contexts)
    assert read_contexts(file) == contexts
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o077 == 0
    assert "mp_secret" not in repr(contexts)
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        read_contexts(file)


def test_the_current_one_follows_what_is_done() -> None:
    two = Contexts().with_context("prod", HERE).with_context("test", HERE)
    assert two.current == "test"
    assert two.using("prod").current == "prod"
    assert two.using(LOCAL).current == ""
    assert two.without("prod").current == "test"
    assert two.without("test").current == ""
    assert list(two.without("test").contexts) == ["prod"]


@pytest.mark.parametrize("does", [Contexts.named, Contexts.using, Contexts.without])
def test_one_that_is_not_there_is_told_with_those_that_are(does) -> None:
    with pytest.raises(SettingsError, match=r'no context "stage"; known: local, prod'):
        does(Contexts().with_context("prod", HERE), "stage")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("contexts: {a: {url: 'ftp://x', key: k}}", "contexts.a.url"),
        ("contexts: {a: {url: 'http://x'}}", "contexts.a.key: required"),
        ("contests: {}", 'did you mean "contexts"'),
        ("[", "not readable as YAML"),
    ],
)
def test_a_file_with_faults_says_where(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(SettingsError) as caught:
        read_contexts(file)
    assert words in str(caught.value)


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "marchproxy").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        write_contexts(tmp_path / "marchproxy" / "config.yaml", Contexts())
