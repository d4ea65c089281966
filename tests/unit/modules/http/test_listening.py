"""Settings of the ports: which listeners they make, what NLBs are told, and what does not go together."""

import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from marchproxy.kit.settings import SettingsError, load
from marchproxy.modules.alb.settings import AlbSettings
from marchproxy.modules.http.downstream import TlsVersion
from marchproxy.modules.http.listening import check_ports, choose_ports, endpoints, listeners, public_port
from tests.ports import free_port

SELF = {"self_signed": ["localhost"]}
TLS = {"tls_traffic": "127.0.0.1:10443", "https": SELF}


def alb(**given: Any) -> AlbSettings:
    return AlbSettings.model_validate({"id": "alb-1", **given})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tls_traffic": "127.0.0.1:1"}, "needs https.certificates, or names in https.self_signed"),
        ({"tls_proxy_traffic": "127.0.0.1:1"}, "needs https.certificates"),
        ({"https": SELF}, "are for tls_traffic or tls_proxy_traffic; give one"),
        ({"http3": True}, "http3 needs tls_traffic"),
        ({"http3": True, "tls_proxy_traffic": "127.0.0.1:1", "https": SELF}, "http3 needs tls_traffic"),
        ({"https": {"client_ca": "/a"}}, "https.client_ca is for"),
        ({"https": {"redirect_http": True}}, "nobody would answer there"),
        ({"https": {"tls_ended_ports": [443]}}, "needs proxy_traffic"),
        ({**TLS, "https": {**SELF, "certificates": [{"certificate": "/a", "key": "/b"}]}}, "not both"),
        ({**TLS, "https": {"certificates": [{"certificate": "/a", "key": "/b"}] * 2}}, "/a is named twice"),
        ({**TLS, "https": {"self_signed": ["shop example"]}}, "should match pattern"),
        ({**TLS, "https": {**SELF, "minimum_version": "1.1"}}, "'1.2' or '1.3'"),
        ({**TLS, "https": {**SELF, "hsts": {"preload": True}}}, "preload needs include_subdomains"),
        ({**TLS, "https": {**SELF, "public_port": 0}}, "greater than or equal to 1"),
        ({"headers_with_underscores": "keep"}, "'reject', 'drop' or 'allow'"),
    ],
)
def test_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        alb(**given)


def test_endpoints() -> None:
    settings = alb(**TLS, http3=True, tls_proxy_traffic="127.0.0.1:10444", traffic=None)
    assert [(e.name, e.protocol.value, e.address, e.proxy_protocol) for e in endpoints(settings)] == [
        ("https", "https", "127.0.0.1:10443", False),
        ("https-proxied", "https", "127.0.0.1:10444", True),
        ("http3", "http3", "127.0.0.1:10443", False),
    ]


def test_listeners(tmp_path: Path) -> None:
    https = {**SELF, "hsts": {}, "redirect_http": True, "public_port": 443, "tls_ended_ports": [8443]}
    settings = alb(
        **{**TLS, "https": https},
        http3=True,
        proxy_traffic="127.0.0.1:10001",
        tls_proxy_traffic="127.0.0.1:10444",
        headers_with_underscores="allow",
    )
    found = {spec.name: spec for spec in listeners(settings, tmp_path)}
    assert list(found) == ["http", "http-proxied", "https", "http3", "https-proxied"]
    hsts, other = ("strict-transport-security", "max-age=31536000"), ("alt-svc", 'h3=":443"; ma=86400')
    assert {name: spec.secure_headers for name, spec in found.items()} == {
        "http": (),
        "http-proxied": (hsts,),
        "https": (hsts, other),
        "http3": (hsts, other),
        "https-proxied": (hsts, other),
    }
    assert {name: spec.redirect_port for name, spec in found.items() if spec.redirect_port} == {
        "http": 443,
        "http-proxied": 443,
    }
    assert found["http-proxied"].tls_ended_ports == (8443,)
    assert [name for name, spec in found.items() if spec.proxy_sources] == ["http-proxied", "https-proxied"]
    assert [name for name, spec in found.items() if spec.quic] == ["http3"]
    assert {spec.underscores.value for spec in found.values()} == {"allow"}


@pytest.mark.parametrize(
    ("given", "port"),
    [
        (TLS, 10443),
        ({**TLS, "https": {**SELF, "public_port": 8443}}, 8443),
        ({"tls_proxy_traffic": "127.0.0.1:10444", "https": SELF}, 443),
    ],
)
def test_public_port(given: dict[str, Any], port: int) -> None:
    assert public_port(alb(**given)) == port


@pytest.mark.parametrize(
    ("hsts", "header"),
    [
        ({}, "max-age=31536000"),
        ({"max_age": "1h"}, "max-age=3600"),
        ({"max_age": "17520h", "include_subdomains": True, "preload": True}, "max-age=63072000; includeSubDomains; preload"),
    ],
)  # fmt: skip
def test_hsts(hsts: dict[str, Any], header: str, tmp_path: Path) -> None:
    (_, https) = listeners(alb(**{**TLS, "https": {**SELF, "hsts": hsts}}), tmp_path)
    assert dict(https.secure_headers) == {"strict-transport-security": header}


def test_a_version_is_written_as_people_write_it() -> None:
    text = "id: a\ntls_traffic: 127.0.0.1:1\nhttps: {self_signed: [a.example], minimum_version: 1.3}"
    assert load(AlbSettings, text, environ={}).https.minimum_version is TlsVersion.V1_3


def test_a_port_of_datagrams_that_is_taken() -> None:
    port = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", port))
        settings = alb(**{**TLS, "tls_traffic": f"127.0.0.1:{port}"}, traffic=None)
        check_ports(settings)
        with pytest.raises(Exception, match=r"tls_traffic: cannot listen on .*already in use"):
            check_ports(settings.model_copy(update={"http3": True}))


def test_a_fault_names_the_field_of_the_file() -> None:
    with pytest.raises(SettingsError, match="http3 needs tls_traffic"):
        load(AlbSettings, "id: a\nhttp3: true", environ={})


def test_a_port_that_is_chosen_is_free_for_datagrams_too() -> None:
    settings = choose_ports(alb(**{**TLS, "tls_traffic": "127.0.0.1:0"}, http3=True, traffic="127.0.0.1:0"))
    assert settings.tls_traffic is not None
    assert settings.tls_traffic.port
    assert settings.traffic is not None
    assert settings.traffic.port
    check_ports(settings)
