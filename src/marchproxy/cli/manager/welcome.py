"""What is said once a manager runs: where the UI is, and how the first admin gets in."""

import sys

from marchproxy.cli.file.schema import dialled
from marchproxy.manager.places import FIRST_USER, INITIAL_PASSWORD
from marchproxy.manager.settings import ManagerSettings


def welcome(settings: ManagerSettings) -> str:
    """The UI's address, and the first password while it is in force: itself on a terminal, else where it is.

    What is no terminal may be a log that others read.
    """
    scheme = "http" if settings.tls is None else "https"
    words = f"UI:     {settings.public_url or f'{scheme}://{dialled(settings.http)}/'}"
    file = settings.directory() / INITIAL_PASSWORD
    if not file.exists():
        return words
    if not sys.stdout.isatty():
        return f"{words}, user {FIRST_USER}, password in {file}"
    return (
        f"{words}, user {FIRST_USER}, password {file.read_text().strip()} (to be changed at the first login)"
    )
