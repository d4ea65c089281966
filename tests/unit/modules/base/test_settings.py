"""Settings of an instance."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from marchproxy.kit.files import default_state_dir
from marchproxy.kit.settings import HostPort
from marchproxy.modules.alb.settings import AlbSettings
from marchproxy.modules.http.listening import endpoints


@pytest.mark.parametrize(
    ("advertise", "listening", "port", "reachable"),
    [
        ("", "127.0.0.1:50051", None, "127.0.0.1:50051"),
        ("alb.internal", "0.0.0.0:50051", None, "alb.internal:50051"),
        ("", "127.0.0.1:0", 4000, "127.0.0.1:4000"),
        ("", "[::1]:80", None, "[::1]:80"),
    ],
)
def test_reachable(advertise: str, listening: str, port: int | None, reachable: str) -> None:
    settings = AlbSettings(id="alb-1", advertise=advertise)
    assert str(settings.reachable(HostPort.parse(listening), port)) == reachable


def test_every_address_is_not_an_address_to_tell() -> None:
    assert AlbSettings(id="alb-1").reachable(HostPort("0.0.0.0", 80)).host != "0.0.0.0"


def test_each_instance_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert AlbSettings(id="alb-1", state_dir=tmp_path).own_state_dir() == tmp_path / "alb-1"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_state_dir() == Path("/var/lib/marchproxy")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_state_dir() == tmp_path / "marchproxy"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": "../alb"}, "id"),
        ({"id": "a" * 101}, "id"),
        ({"version": "v 1"}, "version"),
        ({"grpc": "nowhere"}, "grpc"),
        ({"traffic": "127.0.0.1:70000"}, "traffic"),
        ({"heartbeat_interval": 0}, "heartbeat_interval"),
        ({"metrics_interval": 0.1}, "metrics_interval"),
        ({"drain_seconds": -1}, "drain_seconds"),
        ({"proxy_sources": ["10.0.0.0/40"]}, "proxy_sources"),
        # without a source, the listener that trusts the header would be open to everybody
        ({"proxy_sources": []}, "proxy_sources"),
        ({"stats_window": 0}, "stats_window"),
        ({"trafic": "127.0.0.1:80"}, "trafic"),
        ({"type": "dblb"}, "type"),
    ],
)
def test_refused(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as error:
        AlbSettings(**{"id": "alb-1", **wrong})
    assert [problem["loc"][0] for problem in error.value.errors()] == [field]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, [("http", "127.0.0.1:10000", False)]),
        ({"proxy_traffic": "127.0.0.1:10001"}, [("http", "127.0.0.1:10000", False), ("http-proxied", "127.0.0.1:10001", True)]),
        ({"traffic": None, "proxy_traffic": "127.0.0.1:10001"}, [("http-proxied", "127.0.0.1:10001", True)]),
        ({"traffic": None}, []),
    ],
)  # fmt: skip
def test_endpoints(given: dict[str, Any], told: list[tuple[str, str, bool]]) -> None:
    found = endpoints(AlbSettings(id="alb-1", **given))
    assert [(item.name, item.address, item.proxy_protocol) for item in found] == told
