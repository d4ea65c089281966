"""Beginning: what a control plane starts with, its file or what an earlier process left."""

import os
from dataclasses import dataclass
from pathlib import Path

from marchproxy.cli.file import load_file
from marchproxy.cli.xds.catalogue import Catalogue
from marchproxy.cli.xds.keeping import Keeper, Kept, folder_of, settings_beside_faults
from marchproxy.cli.xds.settings import XdsSettings
from marchproxy.cli.xds.source import FAULTS, Signature, catalogue_of, left_out_of, settings_of, signature_of


@dataclass(frozen=True, slots=True)
class Beginning:
    """Settings, and a catalogue or the fault that there is none for; `hints` are about the file."""

    settings: XdsSettings
    keeper: Keeper
    catalogue: Catalogue | None
    kept: Kept | None
    read: Signature | None
    hints: tuple[str, ...] = ()
    fault: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """The files that the document names."""
        return () if self.catalogue is None else self.catalogue.files


def begin(file: Path) -> Beginning:
    """Read the file. One that cannot be used is raised as at any start (FAULTS), unless something was left."""
    read = signature_of(file)
    try:
        loaded = load_file(file, os.environ)
        settings = settings_of(loaded)
        keeper = Keeper(folder_of(file, settings))
        return Beginning(
            settings, keeper, catalogue_of(loaded), keeper.load(), read, hints=tuple(left_out_of(loaded))
        )
    except FAULTS as error:
        found = settings_beside_faults(file)
        keeper = Keeper(folder_of(file, found))
        kept = keeper.load()
        if kept is None:
            raise
        return Beginning(found or kept.settings, keeper, None, kept, read, fault=str(error))
