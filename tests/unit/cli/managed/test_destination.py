import pytest

from marchproxy.cli.managed.destination import NotADestination, read_destination


@pytest.mark.parametrize(
    ("text", "url", "name"),
    [
        ("https://manager.example", "https://manager.example", "manager.example"),
        ("https://manager.example:8000/", "https://manager.example:8000", "manager.example"),
        ("https://manager.example:9000", "https://manager.example:9000", "manager.example-9000"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000", "127.0.0.1"),
        ("http://localhost:8001", "http://localhost:8001", "localhost-8001"),
        ("http://[::1]:8000", "http://[::1]:8000", "1"),
    ],
)
def test_urls_and_what_their_contexts_are_called(text: str, url: str, name: str) -> None:
    found = read_destination(text)
    assert (found.url, found.name) == (url, name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("manager.example:8000", "must be a URL"),
        ("ftp://manager.example", "must be a URL"),
        ("https://", "must be a URL"),
        ("https://m:port", "ort"),
        ("https://ann:pw@manager.example", "nothing before"),
        ("https://manager.example/ui", "must end with its host"),
        ("http://manager.example:8000", "in clear text"),
        ("http://10.0.0.7:8000", "in clear text"),
        ("http://localhost.example", "in clear text"),
    ],
)
def test_what_no_password_is_sent_to(text: str, words: str) -> None:
    with pytest.raises(NotADestination, match=words):
        read_destination(text)


def test_clear_text_where_somebody_says_so() -> None:
    assert read_destination("http://10.0.0.7:8000", insecure=True).name == "10.0.0.7"
