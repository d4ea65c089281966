"""Attempts to have a model forget what it was told: phrases, marks of other roles, and text that people do not see.

It finds what is known and written as it usually is. It cannot understand: a new wording, a riddle, a picture, a language that is not
in the table, or an attempt in pieces passes. Models must not be trusted with more because this is on.
"""

from marchproxy.modules.ailb.guards.injection.looker import InjectionLooker

__all__ = ["InjectionLooker"]
