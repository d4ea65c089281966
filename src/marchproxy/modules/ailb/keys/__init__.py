"""Virtual keys: what clients show in place of a provider's key, and whom it stands for."""

from marchproxy.modules.ailb.keys.file import read_keys
from marchproxy.modules.ailb.keys.making import NewKey, digest, new_key
from marchproxy.modules.ailb.keys.ring import KeyRing

__all__ = ["KeyRing", "NewKey", "digest", "new_key", "read_keys"]
