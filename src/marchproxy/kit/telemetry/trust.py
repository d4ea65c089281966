"""Trust: who may have signed the collector's certificate."""

import ssl
from pathlib import Path

from marchproxy.kit.settings import Problem, SettingsError
from marchproxy.kit.telemetry.section import TracingSection


def authorities(section: TracingSection) -> bytes:
    """Their certificates (PEM): those of `tracing.ca`, else the system's. Raises SettingsError."""
    file = section.ca or _of_the_system()
    try:
        content = file.read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except ssl.SSLError as error:
        raise _unusable(f"{file} holds no PEM certificate") from error
    except OSError as error:
        raise _unusable(f"cannot read {file}: {error.strerror or error}") from error
    return content


def _of_the_system() -> Path:
    file = ssl.get_default_verify_paths().cafile
    if file is None:
        raise _unusable("the system has no file of authorities that it trusts; name one here")
    return Path(file)


def _unusable(reason: str) -> SettingsError:
    return SettingsError([Problem("tracing.ca", reason)])
