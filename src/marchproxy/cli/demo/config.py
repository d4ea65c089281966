"""The demo's configuration: one listener, one ALB, one route, two versions of a backend; on free ports."""

import random
import socket
from contextlib import ExitStack
from dataclasses import dataclass

from marchproxy.kit.settings import HostPort

HOST = "127.0.0.1"
ROUTE = "shop"
ALB = "alb-1"
MANAGER = "manager-1"
# below those that the kernel gives to outgoing connections, of which the demo makes many
_PORTS = range(18_000, 32_000)


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """One backend server."""

    name: str
    version: str
    port: int


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """The file's text, and what of it the demo needs to know."""

    text: str
    web: HostPort
    secure: HostPort
    nlb: HostPort
    backends: tuple[BackendSpec, ...]
    ui: HostPort | None = None


def make_config(*, managed: bool = False) -> DemoConfig:
    """A configuration on ports that are free now. `managed`: with a manager, and so a UI."""
    web, secure, nlb, nlb_metrics, nlb_admin, alb, health, metrics, admin, plain, proxied, hidden, *rest = (
        _free_ports(18)
    )
    ui, ui_metrics = rest.pop(), rest.pop()
    backends = tuple(
        BackendSpec(f"{version}-{letter}", version, rest.pop())
        for version in ("v1", "v2")
        for letter in ("a", "b")
    )
    text = _TEMPLATE.format(
        host=HOST,
        alb_id=ALB,
        web=web,
        secure=secure,
        nlb=nlb,
        nlb_metrics=nlb_metrics,
        nlb_admin=nlb_admin,
        alb=alb,
        health=health,
        metrics=metrics,
        admin=admin,
        plain=plain,
        proxied=proxied,
        hidden=hidden,
        v1=_addresses(backends, "v1"),
        v2=_addresses(backends, "v2"),
    )
    if managed:
        text += _MANAGER.format(host=HOST, manager_id=MANAGER, ui=ui, metrics=ui_metrics)
    return DemoConfig(
        text,
        HostPort(HOST, web),
        HostPort(HOST, secure),
        HostPort(HOST, nlb),
        backends,
        HostPort(HOST, ui) if managed else None,
    )


def _addresses(backends: tuple[BackendSpec, ...], version: str) -> str:
    return ", ".join(f'"{HOST}:{backend.port}"' for backend in backends if backend.version == version)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:  # all held at the same time, so that they differ
        held: list[int] = []
        for port in random.sample(_PORTS, len(_PORTS)):
            probe = stack.enter_context(socket.socket())
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            held.append(port)
            if len(held) == count:
                return held
    raise OSError(f"fewer than {count} ports are free between {_PORTS.start} and {_PORTS.stop}")


_TEMPLATE = """\
# Written by `marchproxy demo`: clients → NLB → ALB → two versions of a backend.
nlb:
  grpc: "{host}:{nlb}"
  metrics: "{host}:{nlb_metrics}"
  drain_seconds: 5s
  envoy: {{admin: "{host}:{nlb_admin}"}}

modules:
  - id: {alb_id}
    type: alb
    grpc: "{host}:{alb}"
    health: "{host}:{health}"
    metrics: "{host}:{metrics}"
    traffic: "{host}:{plain}"
    proxy_traffic: "{host}:{proxied}"
    tls_proxy_traffic: "{host}:{hidden}"
    https: {{self_signed: ["{host}"]}}
    drain_seconds: 5s
    metrics_interval: 1s
    envoy: {{admin: "{host}:{admin}"}}

listeners:
  - {{name: web, address: "{host}:{web}"}}
  - {{name: secure, address: "{host}:{secure}", protocol: https}}

routes:
  - id: shop
    path: /
    listeners: [web, secure]
    retry: {{attempts: 3, on: [connect_failure, reset]}}
    backends:
      - {{pool: shop-v1, weight: 100}}
      - {{pool: shop-v2, weight: 0}}

pools:
  - name: shop-v1
    version: v1
    endpoints: [{v1}]
    health_check: &check {{path: /healthz, interval: 500ms, timeout: 400ms, unhealthy_threshold: 2, healthy_threshold: 1}}
  - name: shop-v2
    version: v2
    endpoints: [{v2}]
    health_check: *check
"""

_MANAGER = """
manager:
  id: {manager_id}
  http: "{host}:{ui}"
  metrics: "{host}:{metrics}"
"""
