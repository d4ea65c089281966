"""Comments: how many there are, and what they ask of the proxy. Pure; strings and quoted names are told apart from them."""

import re
from dataclasses import dataclass, replace

from marchproxy.modules.dblb.sql.facts import Hint, NotUnderstood

# https://www.postgresql.org/docs/current/sql-syntax-lexical.html; a word is taken whole, so that a$b$ is not a dollar quote
_POSTGRES = re.compile(
    r"""
      (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*+(?:'\s*[\r\n]\s*'(?:[^'\\]|\\.|'')*+)*+'?)
    | (?P<string>'(?:[^']|'')*+'?)
    | (?P<name>"(?:[^"]|"")*+"?)
    | (?P<dollar>\$(?:[A-Za-z_\x80-\U0010ffff][\w]*)?\$)
    | (?P<line>--[^\r\n]*)
    | (?P<block>/\*)
    | (?P<word>[A-Za-z_\x80-\U0010ffff][\w$]*)
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
#: PostgreSQL's own scanner takes time quadratic in the depth.
_DEEPEST = 32
_EDGE = re.compile(r"/\*|\*/")
_HINT = re.compile(r"\s*marchproxy\s*:\s*(.*?)\s*", re.DOTALL | re.IGNORECASE)
_POOL = re.compile(r"pool=([A-Za-z0-9_.-]{1,63})")


@dataclass(frozen=True, slots=True)
class Comments:
    """The comments of a text, without their marks."""

    texts: tuple[str, ...] = ()
    nested: bool = False

    def hint(self) -> Hint:
        """What they ask for; the last one counts, and what is not known is passed over."""
        hint = Hint()
        for text in self.texts:
            found = _HINT.fullmatch(text)
            for word in re.split(r"[\s,]+", found[1]) if found else ():
                pool = _POOL.fullmatch(word)
                if pool:
                    hint = replace(hint, pool=pool[1])
                elif word.lower() in {"primary", "replica"}:
                    hint = replace(hint, target=word.lower())
        return hint


def postgres_comments(text: str) -> Comments:
    """The comments of a text that PostgreSQL reads, with standard_conforming_strings=on. Raises NotUnderstood."""
    if "--" not in text and "/*" not in text:
        return Comments()
    texts: list[str] = []
    nested, position = False, 0
    while position < len(text):
        found = _POSTGRES.match(text, position)
        if found is None:
            break
        position = found.end()
        match found.lastgroup:
            case "dollar":
                end = text.find(found[0], position)
                position = len(text) if end < 0 else end + len(found[0])
            case "line":
                texts.append(found[0][2:])
            case "block":
                end, deep = _block_end(text, position)
                texts.append(text[position : max(position, end - 2)])
                nested, position = nested or deep, end
            case _:
                pass
    return Comments(tuple(texts), nested)


def _block_end(text: str, start: int) -> tuple[int, bool]:
    depth, deep = 1, False
    for edge in _EDGE.finditer(text, start):
        depth += 1 if edge[0] == "/*" else -1
        deep = deep or depth > 1
        if depth > _DEEPEST:
            raise NotUnderstood("comments nested too deeply")
        if depth == 0:
            return edge.end(), deep
    return len(text), deep
