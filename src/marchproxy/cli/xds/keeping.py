"""Keeping: what every cohort was given last, on disk, for a start at which the file cannot be used."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from marchproxy.cli.file import load_settings
from marchproxy.cli.xds.cohorts import Cohort, Cohorts
from marchproxy.cli.xds.settings import PlaneSettings, XdsSettings
from marchproxy.engines.envoy.xds import Snapshot, load, store
from marchproxy.kit.files import default_state_dir, write_atomically
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import SettingsError

_log = get_logger(__name__)
_SETTINGS = "settings.json"
_VARIABLE = "MARCHPROXY_XDS__STATE_DIR"


@dataclass(frozen=True, slots=True)
class Kept:
    """What an earlier process left."""

    settings: XdsSettings
    snapshots: Mapping[Cohort, Snapshot]


class Keeper:
    """The folder of one file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, settings: PlaneSettings, snapshots: Mapping[Cohort, Snapshot]) -> None:
        """Write it all. A disk that refuses is logged: nodes do not depend on it."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(self._folder / _SETTINGS, settings.model_dump_json(exclude_unset=True).encode())
            for cohort, snapshot in snapshots.items():
                store.save(self._folder / f"{cohort}.bin", snapshot)
            for file in self._folder.glob("*.bin"):
                if file.stem not in map(str, snapshots):
                    file.unlink()
        except OSError as error:
            _log.error("what nodes were given cannot be kept", path=str(self._folder), reason=str(error))

    def load(self) -> Kept | None:
        """What was kept; None when there is nothing that can be used."""
        try:
            settings = XdsSettings.model_validate_json((self._folder / _SETTINGS).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            _log.warning("what was kept cannot be used", path=str(self._folder), reason=str(error))
            return None
        found = {cohort: load(self._folder / f"{cohort}.bin") for cohort in Cohorts(settings.nodes).all()}
        snapshots = {cohort: snapshot for cohort, snapshot in found.items() if snapshot is not None}
        return Kept(settings, snapshots) if snapshots else None


def folder_of(file: Path, settings: XdsSettings | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Where it is kept what nodes were given by `file`. `settings` None: the file cannot be read, and says nothing."""
    if settings is not None and settings.state_dir is not None:
        return settings.state_dir
    if settings is None and environ.get(_VARIABLE):
        return Path(environ[_VARIABLE])
    digest = hashlib.blake2b(bytes(file.absolute()), digest_size=6).hexdigest()
    return default_state_dir(environ) / "xds" / digest


def settings_beside_faults(file: Path, environ: Mapping[str, str] = os.environ) -> XdsSettings | None:
    """The settings of a file that has faults elsewhere; None when these cannot be read either."""
    try:
        return load_settings(file, environ).xds or XdsSettings()
    except (SettingsError, OSError):
        return None
