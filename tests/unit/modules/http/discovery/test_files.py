"""Endpoints in files: what is one, and what is told of a file that is none."""

from pathlib import Path

import pytest

from marchproxy.modules.http.discovery.files import read_endpoints
from marchproxy.modules.http.discovery.found import NothingFound
from marchproxy.modules.http.resources.endpoints import Target


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("[]", ()),
        ('["10.0.0.1:80", {"address": "[2001:db8::1]:80", "weight": 5}]', (Target("10.0.0.1:80"), Target("[2001:db8::1]:80", 5))),
        ("- 10.0.0.1:80\n- {address: 10.0.0.2:80}\n", (Target("10.0.0.1:80"), Target("10.0.0.2:80"))),
    ],
)  # fmt: skip
def test_endpoints(tmp_path: Path, text: str, targets: tuple[Target, ...]) -> None:
    file = tmp_path / "endpoints"
    file.write_text(text)
    assert read_endpoints(str(file)) == targets


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a list"),
        (b'{"a": 1}', "not a list"),
        (b'["10.0.0.1:80", ', "neither JSON nor YAML"),
        (b"- [1]\n", "entry 0: not host:port"),
        (b"- {address: 10.0.0.1:80, wait: 1}\n", "entry 0: not host:port"),
        (b"- 10.0.0.1:80\n- 10.0.0.2\n", "entry 1: "),
        (b"- shop.internal:80\n", "is a host name"),
        (b"- {address: 10.0.0.1:80, weight: true}\n", "weight True"),
        (b"- {address: 10.0.0.1:80, weight: 101}\n", "weight 101"),
        (b"- 10.0.0.1:80\n- 10.0.0.1:80\n", "more than once"),
        (b"\xff", "not UTF-8"),
        (b"- 10.0.0.1:80\n" + b"#" * 1_000_000, "larger than"),
    ],
)  # fmt: skip
def test_what_is_no_list_of_endpoints(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "endpoints"
    file.write_bytes(content)
    with pytest.raises(NothingFound, match=words):
        read_endpoints(str(file))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(NothingFound, match="No such file"):
        read_endpoints(str(tmp_path / "none"))
