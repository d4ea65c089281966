"""The web UI: pages over the desk, drawn on the server. No page talks to a database or to gRPC."""

from marchproxy.manager.ui.pages import install

__all__ = ["install"]
