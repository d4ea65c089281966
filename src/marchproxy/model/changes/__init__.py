"""Changes: what differs between documents of the desired state, two edits made into one, and what of it is secret.

A document is plain here, as JSON gives it: sections by name, each a list of items. No item is ever changed in place.
"""

from marchproxy.model.changes.diff import Change, ChangeKind, diff, summary
from marchproxy.model.changes.lines import Line, LineKind, compare_lines
from marchproxy.model.changes.merge import Conflict, Merged, merge
from marchproxy.model.changes.plain import SECTIONS, Document, Item, items_by_key, path_of
from marchproxy.model.changes.secrets import HIDDEN, hidden, redact, redact_item, unredact, without_userinfo

__all__ = [
    "HIDDEN",
    "SECTIONS",
    "Change",
    "ChangeKind",
    "Conflict",
    "Document",
    "Item",
    "Line",
    "LineKind",
    "Merged",
    "compare_lines",
    "diff",
    "hidden",
    "items_by_key",
    "merge",
    "path_of",
    "redact",
    "redact_item",
    "summary",
    "unredact",
    "without_userinfo",
]
