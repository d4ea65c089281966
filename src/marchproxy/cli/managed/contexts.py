"""Contexts: the managers that somebody has logged in to, in one file that only he can read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from marchproxy.contract.document import as_yaml
from marchproxy.kit.files import write_atomically
from marchproxy.kit.settings import Problem, Section, SettingsError, load

LOCAL = "local"
"""The context that is always there: the manager of this machine."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
_FOR_OTHERS = 0o077


class Context(Section):
    """A manager, and the API key that it is shown."""

    url: Annotated[str, Field(pattern=r"^https?://[^/\s]+$")]
    """Such as `https://manager.example:8000`."""
    key: Annotated[str, Field(repr=False)]
    """Shown as a bearer token."""
    key_id: str = ""
    """What the manager calls it, so that logging out ends it."""
    user: str = ""
    """Whose it is."""
    ca: Path | None = None
    """A file with the certificates (PEM) that vouch for the manager's; none: the system's."""


class Contexts(Section):
    """What the file says. `current` is the one that commands take when none is named; empty: this machine's manager."""

    current: str = ""
    contexts: Mapping[Name, Context] = {}

    def named(self, name: str) -> Context:
        """The context of that name. Raises SettingsError."""
        found = self.contexts.get(name)
        if found is None:
            known = ", ".join([LOCAL, *self.contexts])
            raise SettingsError(
                [Problem("", f'no context "{name}"; known: {known}. `marchproxy login URL` makes one')]
            )
        return found

    def with_context(self, name: str, context: Context) -> "Contexts":
        """With one more, or another one of that name, which becomes the current one."""
        return Contexts(current=name, contexts={**self.contexts, name: context})

    def without(self, name: str) -> "Contexts":
        """Without one; where it was the current one, this machine's manager is. Raises SettingsError."""
        self.named(name)
        left = {other: context for other, context in self.contexts.items() if other != name}
        return Contexts(current="" if self.current == name else self.current, contexts=left)

    def using(self, name: str) -> "Contexts":
        """With another current one. Raises SettingsError."""
        if name == LOCAL:
            return Contexts(current="", contexts=self.contexts)
        self.named(name)
        return Contexts(current=name, contexts=self.contexts)


def contexts_file(environ: Mapping[str, str]) -> Path:
    """Where they are kept: $XDG_CONFIG_HOME/marchproxy/config.yaml."""
    home = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "~")).expanduser() / ".config"
    return Path(home) / "marchproxy" / "config.yaml"


def read_contexts(file: Path) -> Contexts:
    """What the file says; nothing where there is none. Raises SettingsError, also where others can read the keys."""
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        return Contexts()
    except OSError as error:
        raise _unusable(file, f"cannot be read: {error.strerror or error}") from error
    if mode & _FOR_OTHERS:
        raise _unusable(file, f"others can read the keys in it; `chmod 600 {file}`")
    return load(Contexts, file, environ={})


def write_contexts(file: Path, contexts: Contexts) -> None:
    """Replace the file, mode 0600. Raises SettingsError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(file, as_yaml(contexts.model_dump(mode="json", exclude_defaults=True)).encode())
    except OSError as error:
        raise _unusable(file, f"cannot be written: {error.strerror or error}") from error


def _unusable(file: Path, message: str) -> SettingsError:
    return SettingsError([Problem("", message, None, str(file))])
