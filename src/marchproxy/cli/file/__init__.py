"""The whole configuration file: how the processes run, and what the system should do."""

from marchproxy.cli.file.load import Loaded, load_file, load_settings
from marchproxy.cli.file.schema import FileDocument
from marchproxy.cli.file.select import pick_module, replica_of

__all__ = ["FileDocument", "Loaded", "load_file", "load_settings", "pick_module", "replica_of"]
