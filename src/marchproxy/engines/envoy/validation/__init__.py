"""Validation: `envoy --mode validate` as a question that a control plane can ask of each snapshot before it is published."""

from marchproxy.engines.envoy.validation.culprits import Search, search_among
from marchproxy.engines.envoy.validation.run import Unjudged
from marchproxy.engines.envoy.validation.validator import Fault, Validator
from marchproxy.engines.envoy.validation.words import fields, reason, tokens

__all__ = ["Fault", "Search", "Unjudged", "Validator", "fields", "reason", "search_among", "tokens"]
