"""Credentials of pools in files: what was good before stays in use, and none is in a text."""

from pathlib import Path

import pytest
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from marchproxy.engines.envoy.pem import UnusableFile
from marchproxy.model.ai import AiPool, Provider
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.modules.ailb.resources.credentials import CredentialFiles


def pool(path: Path, provider: Provider = Provider.OPENAI) -> BackendPool:
    return BackendPool(PoolName("p"), ai=AiPool(provider, credential=str(path)))


def shown(files: CredentialFiles, *pools: BackendPool) -> list[str]:
    secrets = (secret_pb2.Secret.FromString(resource.body.value) for resource in files.resources(pools))
    return [secret.generic_secret.secret.inline_string for secret in secrets]


@pytest.mark.parametrize(
    ("provider", "value"),
    [(Provider.OPENAI, "Bearer sk-1"), (Provider.VLLM, "Bearer sk-1"), (Provider.ANTHROPIC, "sk-1")],
)
def test_each_provider_is_shown_it_as_it_wants_it(tmp_path: Path, provider: Provider, value: str) -> None:
    path = tmp_path / "key"
    path.write_text("sk-1\n")
    assert shown(CredentialFiles(), pool(path, provider), pool(path, provider)) == [value]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"two words", "more than one word"),
        (b"\xc3\xa9", "ASCII"),
        (b"x" * 9000, "larger than"),
    ],
)
def test_what_is_no_key(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    files = CredentialFiles()
    (problem,) = files.problems([pool(path)])
    assert problem.path == "pools[0].ai.credential"
    assert words in problem.message
    assert "two words" not in problem.message
    with pytest.raises(UnusableFile):
        shown(files, pool(path))


def test_what_was_good_stays(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("sk-1")
    files = CredentialFiles()
    assert shown(files, pool(path)) == ["Bearer sk-1"]
    assert not files.changed()
    path.write_text("")
    assert files.changed()
    assert shown(files, pool(path)) == ["Bearer sk-1"]
    assert "stays in use" in files.troubles([pool(path)])[PoolName("p")]
    assert list(files.problems([pool(path)])) == []
    path.write_text("sk-22")
    assert files.changed()
    assert shown(files, pool(path)) == ["Bearer sk-22"]
    assert files.troubles([pool(path)]) == {}


def test_those_that_run_are_there_until_others_do(tmp_path: Path) -> None:
    """A pool that is refused stays as it was, with its credential."""
    for name in ("old", "new"):
        (tmp_path / name).write_text(name)
    files = CredentialFiles()
    shown(files, pool(tmp_path / "old"))
    files.keep([pool(tmp_path / "old")])
    assert shown(files, pool(tmp_path / "new")) == ["Bearer old", "Bearer new"]
    files.keep([pool(tmp_path / "new")])
    assert shown(files, pool(tmp_path / "new")) == ["Bearer new"]
