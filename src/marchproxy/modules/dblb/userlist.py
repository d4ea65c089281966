"""Userlist: a file of users and their secrets, one `"user" "secret"` a line, as PgBouncer has it. Pure.

Blank lines and lines that begin with `#` or `;` count for nothing. In a text, `""` stands for `"`.
"""

import re
from collections.abc import Mapping

_LINE = re.compile(r'\s*"((?:[^"]|"")*)"\s+"((?:[^"]|"")*)"\s*')


class UserlistFault(Exception):
    """The file is no userlist; says which line, and never what stands there."""


def read_userlist(content: bytes) -> Mapping[str, str]:
    """The secrets by user. Raises UserlistFault."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise UserlistFault("is not UTF-8") from error
    secrets: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip()[0] in "#;":
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise UserlistFault(f'line {number} is not of the form "user" "secret"')
        user, secret = (part.replace('""', '"') for part in found.groups())
        if user in secrets:
            raise UserlistFault(f'line {number}: "{user}" stands there twice')
        secrets[user] = secret
    return secrets
