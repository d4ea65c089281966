"""The REST API under `/api/v1`: values of the desk as JSON, and requests as what the desk is asked. No SQL, no gRPC."""

from marchproxy.manager.api.app import create_app

__all__ = ["create_app"]
