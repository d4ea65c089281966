"""The manager's HTTP server: uvicorn in our own loop, TLS that is renewed, and the rules for every request."""

from marchproxy.manager.web.guard import Guard, Rules
from marchproxy.manager.web.serving import serving

__all__ = ["Guard", "Rules", "serving"]
