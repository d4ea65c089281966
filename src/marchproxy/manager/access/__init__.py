"""Who may do what: people with sessions, programs with keys, roles, scopes, and the record of what was done.

`access` is what the rest asks, `http` how requests say who they are, `guard` what every request must keep to.
"""

from marchproxy.manager.access.access import Access
from marchproxy.manager.access.errors import (
    AccessError,
    Denied,
    PasswordChangeNeeded,
    Throttled,
    Unauthenticated,
    WeakPassword,
)
from marchproxy.manager.access.roles import SCOPES, Scope
from marchproxy.manager.access.sessions import SignedIn

__all__ = [
    "SCOPES",
    "Access",
    "AccessError",
    "Denied",
    "PasswordChangeNeeded",
    "Scope",
    "SignedIn",
    "Throttled",
    "Unauthenticated",
    "WeakPassword",
]
