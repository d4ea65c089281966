"""The operations endpoint of a process: `/healthz`, `/readyz`, `/metrics`."""

from marchproxy.kit.http.endpoint import HttpEndpoint, HttpLimits, Readiness, Supplier

__all__ = ["HttpEndpoint", "HttpLimits", "Readiness", "Supplier"]
