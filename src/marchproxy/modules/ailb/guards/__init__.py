"""Guardrails: what is looked for in requests before they are sent. Answers are not looked at.

`chain` is the guardrails of a route, `checking` one request before them, `span` a place where something was found: all pure. `walk`
carries checks out, and `moderators` asks others over HTTP.
"""

from marchproxy.modules.ailb.guards.chain import Chain, Checked
from marchproxy.modules.ailb.guards.walk import Asking, Going, Walk, unanswered

__all__ = ["Asking", "Chain", "Checked", "Going", "Walk", "unanswered"]
