"""Sockets of other processes: which connections they have, and their end."""

from marchproxy.engines.sockets.diag import SocketsError, connections_to, destroy
from marchproxy.engines.sockets.messages import Connection, IpAddress
from marchproxy.engines.sockets.shedding import close_idle

__all__ = ["Connection", "IpAddress", "SocketsError", "close_idle", "connections_to", "destroy"]
