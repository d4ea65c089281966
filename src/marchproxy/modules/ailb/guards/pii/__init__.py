"""What tells of persons, and secrets: found by its form and by its check digits, wherever it has any."""

from marchproxy.modules.ailb.guards.pii.looker import PiiLooker

__all__ = ["PiiLooker"]
