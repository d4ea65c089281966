"""Ownership: which worker of an instance has a stream. Pure."""

import xxhash

from marchproxy.model.streams import StreamKey


def owner_of(key: StreamKey, workers: int) -> int:
    """The number of the worker, from 0, the same in every process."""
    return xxhash.xxh64_intdigest(key.text.encode()) % workers
