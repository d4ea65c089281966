"""Discovery: endpoints of pools that are found, by SRV records and in files. Host names are looked up by Envoy itself."""

from marchproxy.modules.http.discovery.follower import Follower
from marchproxy.modules.http.discovery.records import SrvResolver

__all__ = ["Follower", "SrvResolver"]
