"""Editing one item of the desired state as YAML: faults with their lines as one types, a preview, and the proposal."""

from marchproxy.manager.ui.editing.editor import Editor

__all__ = ["Editor"]
