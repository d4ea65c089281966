"""The store's methods as SQL that both databases understand, one file for each part of the interface."""

from marchproxy.store.rows.store import SqlStore

__all__ = ["SqlStore"]
