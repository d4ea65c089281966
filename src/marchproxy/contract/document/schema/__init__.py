"""The shape of the document: keys, types, defaults and shorthands. What the values mean is `model`'s business.

Bounds, names and references are checked by `marchproxy.model.checks`, so that they are told in one voice. The defaults are
the model's, written down once.
"""

from marchproxy.contract.document.schema.state import RateLimitDocument, ScalingDocument, StateDocument

__all__ = ["RateLimitDocument", "ScalingDocument", "StateDocument"]
