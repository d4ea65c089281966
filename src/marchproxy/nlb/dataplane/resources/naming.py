"""Naming: what the resources and their statistics are called."""

from marchproxy.model.limit import LimitId
from marchproxy.model.sharing import Port

#: A cluster without endpoints: where connections go that are turned away.
NOBODY = "nobody"


def cluster_name(listener: str) -> str:
    """The name of a listener's cluster and endpoints."""
    return f"listener.{listener}"


def port_name(port: Port) -> str:
    """The name of what listens at an address. It does not depend on who shares it, so that sharing can change in place."""
    transport = "udp" if port.first.over_udp else "tcp"
    return f"{transport}.{port.first.host.replace(':', '_')}.{port.first.port}"


def routes_name(port: Port) -> str:
    """The name of the route configuration of a port that listeners share by request."""
    return f"port.{port_name(port)}"


def certificate_name(listener: str) -> str:
    """The name of the secret with a listener's certificate and key."""
    return f"certificate.{listener}"


def client_ca_name(listener: str) -> str:
    """The name of the secret with what a listener's clients are verified by."""
    return f"client-ca.{listener}"


def bucket_name(limit: LimitId, unit: str) -> str:
    """The name of a limit's bucket; filters that give it the same size share it, over all listeners."""
    return f"{limit}/{unit}"
