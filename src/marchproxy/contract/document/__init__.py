"""The desired-state document: YAML or JSON, as people write it, to model values and back.

`docs/configuration.md` describes every key. `decode` and `encode` are for bytes that travel between parts, `load_document`
is for files that people edit: its errors carry lines.
"""

from marchproxy.contract.document.codec import (
    LARGEST_DOCUMENT,
    Canon,
    Canonical,
    Encoder,
    checksum,
    decode,
    encode,
    read_plain,
)
from marchproxy.contract.document.convert import from_model, to_model
from marchproxy.contract.document.decoder import Decoder
from marchproxy.contract.document.files import load_document
from marchproxy.contract.document.schema import StateDocument
from marchproxy.contract.document.writing import as_yaml

__all__ = [
    "LARGEST_DOCUMENT",
    "Canon",
    "Canonical",
    "Decoder",
    "Encoder",
    "StateDocument",
    "as_yaml",
    "checksum",
    "decode",
    "encode",
    "from_model",
    "load_document",
    "read_plain",
    "to_model",
]
