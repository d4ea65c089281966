"""Carrying: the query of a list's URL, in which a token may be, on to what the list names. Pure.

Players ask for what a list names as it stands there; without this, only the first request would show the token.
"""

import re
from xml.sax.saxutils import escape

_IN_TAGS = re.compile(r'URI="([^"]*)"')
_IN_MANIFEST = re.compile(r'(initialization|media)="([^"]*)"')


def carry(text: str, query: str, *, playlist: bool) -> str:
    """The list with the query behind each URI. Queries are such as a URL can have: no quotes, no spaces, no lines."""
    if not query or not re.fullmatch(r"[!#-;=?-~]+", query):
        return text
    if playlist:
        return "\n".join(_line(line, query) for line in text.split("\n"))
    # `$` would begin a variable of the template (ISO/IEC 23009-1, 5.3.9.4.4)
    sound = escape(query.replace("$", "$$"))
    return _IN_MANIFEST.sub(lambda found: f'{found[1]}="{found[2]}?{sound}"', text)


def _line(line: str, query: str) -> str:
    if line.startswith("#"):
        return _IN_TAGS.sub(lambda found: f'URI="{found[1]}?{query}"', line)
    return f"{line}?{query}" if line else line
