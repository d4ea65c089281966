"""Document to model values and back. No checks here: `to_model` keeps what was written, sound or not."""

from marchproxy.contract.document.convert.state import ITEM_DOCUMENTS, from_model, to_model

__all__ = ["ITEM_DOCUMENTS", "from_model", "to_model"]
