"""Writing: plain values as the YAML that people write."""

from collections.abc import Mapping
from typing import Any

import yaml

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_WIDTH = 110


def as_yaml(value: Mapping[str, Any]) -> str:
    """A document, or an item of one, its keys in the order that they have."""
    text: str = yaml.dump(dict(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return text
