"""Desired state and all else that the manager keeps: one interface; SQLite, PostgreSQL."""

from marchproxy.store.errors import Moved, StoreUnavailable, StoreUnusable
from marchproxy.store.opening import open_store
from marchproxy.store.sealing import Sealer
from marchproxy.store.settings import StoreSettings
from marchproxy.store.store import TOPICS, Store

__all__ = [
    "TOPICS",
    "Moved",
    "Sealer",
    "Store",
    "StoreSettings",
    "StoreUnavailable",
    "StoreUnusable",
    "open_store",
]
