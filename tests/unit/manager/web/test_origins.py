import pytest

from marchproxy.manager.web.origins import is_foreign


@pytest.mark.parametrize(
    ("method", "origin", "host", "public", "foreign"),
    [
        ("POST", None, "127.0.0.1:8000", None, False),  # a program
        ("POST", "http://127.0.0.1:8000", "127.0.0.1:8000", None, False),
        ("POST", "http://EVIL.example", "127.0.0.1:8000", None, True),
        ("POST", "http://127.0.0.1:9000", "127.0.0.1:8000", None, True),  # the same site, and not ours
        ("POST", "null", "127.0.0.1:8000", None, True),  # a sandboxed frame
        ("POST", "", "127.0.0.1:8000", None, True),
        ("POST", "null", "", None, True),
        ("POST", "http://[::1", "127.0.0.1:8000", None, True),
        ("GET", "http://evil.example", "127.0.0.1:8000", None, False),
        ("WEBSOCKET", "http://evil.example", "127.0.0.1:8000", None, True),
        ("WEBSOCKET", "https://Manager.example", "10.0.0.1:8000", "https://manager.example/", False),
        ("DELETE", "https://other.example", "10.0.0.1:8000", "https://manager.example", True),
    ],
)
def test_whether_a_page_of_ours_asks(method, origin, host, public, foreign):
    assert is_foreign(method, origin, host, public) is foreign
