"""Kinds: the sections of the desired state as resources, with what of their items can be asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import NoneType
from typing import Any, get_args

import orjson

from marchproxy.contract.document.schema import RateLimitDocument, ScalingDocument
from marchproxy.contract.document.schema.ai import (
    AllowanceDocument,
    GuardrailDocument,
    PriceDocument,
    VirtualKeyDocument,
)
from marchproxy.contract.document.schema.http import AuthenticationDocument
from marchproxy.contract.document.schema.listener import ListenerDocument
from marchproxy.contract.document.schema.pool import PoolDocument
from marchproxy.contract.document.schema.route import RouteDocument
from marchproxy.kit.settings import HostPort, Section
from marchproxy.kit.settings.schema import Shape
from marchproxy.manager.api.shelves import Shown
from marchproxy.model.changes import SECTIONS, Item
from marchproxy.model.query import Fields

_PLAIN = (str, int, float, bool, NoneType, HostPort)


@dataclass(frozen=True, slots=True)
class Kind:
    """One section as a resource: `path` is its name in URLs, `one` an item's in words."""

    section: str
    document: type[Section]
    one: str
    example: Item

    @property
    def path(self) -> str:
        """The section's name in URLs."""
        return self.section.replace("_", "-")

    @property
    def key(self) -> str:
        """The field that tells items apart."""
        return SECTIONS[self.section]

    def fields(self) -> Fields[Shown]:
        """What lists can be filtered and sorted by: fields of one value, and lists of texts."""
        return {
            name: _reader(name, _default(self.document, name))
            for name, info in self.document.model_fields.items()
            if _can_be_asked(info.annotation)
        }


def _reader(name: str, default: Any) -> Callable[[Shown], Any]:
    return lambda shown: shown.item.get(name, default)


def _default(document: type[Section], name: str) -> Any:
    """What an item has that does not say: documents leave defaults out."""
    info = document.model_fields[name]
    if info.is_required():
        return None
    return orjson.loads(orjson.dumps(info.get_default(call_default_factory=True), default=str))


def _can_be_asked(annotation: Any) -> bool:
    return all(
        kind in _PLAIN
        or (isinstance(kind, type) and issubclass(kind, Enum))
        or (Shape((kind,)).is_list() and all(one in {str, ...} for one in get_args(kind)))
        for kind in Shape.of(annotation).types
    )


KINDS: tuple[Kind, ...] = (
    Kind(
        "listeners",
        ListenerDocument,
        "a listener",
        {"name": "web", "address": "0.0.0.0:443", "protocol": "http", "module": "alb"},
    ),
    Kind(
        "routes",
        RouteDocument,
        "a route",
        {
            "id": "shop",
            "hosts": ["shop.example.com"],
            "path": {"prefix": "/"},
            "listeners": ["web"],
            "backends": [{"pool": "shop-v1", "weight": 90}, {"pool": "shop-v2", "weight": 10}],
            "timeout": "5s",
        },
    ),
    Kind(
        "pools",
        PoolDocument,
        "a backend pool",
        {
            "name": "shop-v1",
            "version": "v1",
            "endpoints": ["10.0.0.11:8080", "10.0.0.12:8080"],
            "health_check": {"path": "/healthz", "interval": "5s"},
        },
    ),
    Kind(
        "rate_limits",
        RateLimitDocument,
        "a rate limit",
        {"id": "shop-per-client", "target": "shop", "requests_per_second": 50, "per": "client"},
    ),
    Kind(
        "scaling",
        ScalingDocument,
        "how many instances a module has",
        {"module": "alb", "min_instances": 2, "max_instances": 8, "target_cpu_percent": 60},
    ),
    Kind(
        "authentication",
        AuthenticationDocument,
        "a check of who asks",
        {
            "name": "staff",
            "kind": "jwt",
            "issuer": "https://id.example.com",
            "file": "/etc/marchproxy/id.example.com.jwks",
        },
    ),
    Kind(
        "virtual_keys",
        VirtualKeyDocument,
        "a key for language models",
        {"id": "team-search", "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
    ),
    Kind(
        "allowances",
        AllowanceDocument,
        "how much may be used",
        {"id": "search-daily", "target": "key:team-search", "tokens_per_minute": 100000, "budget_day": 25},
    ),
    Kind("prices", PriceDocument, "the price of a model", {"model": "gpt-4o", "input": 2.5, "output": 10}),
    Kind(
        "guardrails",
        GuardrailDocument,
        "a check of prompts",
        {"name": "no-secrets", "kind": "regex", "mode": "block", "patterns": ["AKIA[0-9A-Z]{16}"]},
    ),
)
BY_SECTION: Mapping[str, Kind] = {kind.section: kind for kind in KINDS}
