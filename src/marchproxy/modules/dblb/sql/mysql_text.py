"""MySQL's text before its grammar: comments, versioned comments, quotes, statements. Pure.

Whether a server runs what stands in /*!50000 … */ depends on its kind and version, which the text does not tell; so a text
has a reading for each choice. https://dev.mysql.com/doc/refman/8.4/en/comments.html, https://mariadb.com/kb/en/comment-syntax/
"""

import re
from dataclasses import dataclass
from itertools import combinations

from marchproxy.modules.dblb.sql.comments import Comments
from marchproxy.modules.dblb.sql.facts import NotUnderstood

#: Versions in one text: two readings each.
_MOST_VERSIONS = 3
_LONGEST_VERSIONED = 4096
_DOUBLE = {False: r"(?P<string2>\"(?:[^\"\\]|\\.|\"\")*+\")", True: r"(?P<name2>\"(?:[^\"]|\"\")*+\")"}
_TOKENS = {
    ansi: re.compile(
        r"""
          (?P<string>'(?:[^'\\]|\\.|'')*+')
        | """
        + double
        + r"""
        | (?P<name>`(?:[^`]|``)*+`)
        | (?P<line>\#[^\n]*|--(?=[\s\x00-\x20]|\Z)[^\n]*)
        | (?P<version>/\*M?!\d*)
        | (?P<block>/\*)
        | (?P<close>\*/)
        | (?P<end>;)
        | (?P<bad>['"`])
        | (?P<glued>(?<![\w$@])
            (?!(?:0x[0-9a-fA-F]+|0b[01]+|(?:\d+\.?\d*|\.\d+)[eE][+-]?\d+)(?![\w$.]))
            (?:\d+\.?\d*|\.\d+)[A-Za-z_$\x80-\U0010ffff])
        | (?P<number>(?<![\w$@.])\d+(?:\.\d+)?(?![\w$]))
        | (?P<other>[A-Za-z_$@\x80-\U0010ffff][\w$]*|.)
        """,
        re.VERBOSE | re.DOTALL,
    )
    for ansi, double in _DOUBLE.items()
}


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as one server would see it: its statements without comments, and the same with a zero byte for literals."""

    statements: tuple[str, ...]
    shape: str
    comments: Comments
    versions: frozenset[str]


def readings(text: str, *, ansi_quotes: bool) -> list[Reading]:
    """Each way in which a server may see the text. Raises NotUnderstood."""
    none = read(text, frozenset(), ansi_quotes=ansi_quotes)
    if not none.versions:
        return [none]
    if len(text) > _LONGEST_VERSIONED:  # each reading is parsed
        raise NotUnderstood(f"versioned comments in a text of more than {_LONGEST_VERSIONED} characters")
    found = none.versions
    every = read(text, found, ansi_quotes=ansi_quotes)
    while every.versions > found:  # one that only another's text brings in
        found = every.versions
        every = read(text, found, ansi_quotes=ansi_quotes)
    if len(found) > _MOST_VERSIONS:
        raise NotUnderstood(f"versioned comments for more than {_MOST_VERSIONS} versions")
    choices = (set(choice) for size in range(len(found)) for choice in combinations(sorted(found), size))
    return [every] + [read(text, frozenset(choice), ansi_quotes=ansi_quotes) for choice in choices]


def read(text: str, executed: frozenset[str], *, ansi_quotes: bool) -> Reading:
    """The text where the versioned comments of these versions are run, and others are not. Raises NotUnderstood."""
    scan = _Scan(text, executed)
    tokens = _TOKENS[ansi_quotes]
    while scan.position < len(text):
        found = tokens.match(text, scan.position)
        assert found is not None  # the last alternative takes any character
        scan.position = found.end()
        scan.take(str(found.lastgroup), found[0])
    return scan.finish()


class _Scan:
    def __init__(self, text: str, executed: frozenset[str]) -> None:
        self.position = 0
        self._text = text
        self._executed = executed
        self._open = False
        self._parts: list[str] = []
        self._shape: list[str] = []
        self._statements: list[str] = []
        self._comments: list[str] = []
        self._versions: set[str] = set()

    def take(self, group: str, token: str) -> None:
        match group:
            case "line":
                self._comments.append(token.lstrip("#-"))
                self._put(" ", " ")
            case "version":
                self._version(token[2:])
            case "block":
                self._block()
            case "close" if self._open:
                self._open = False
                self._put(" ", " ")
            case "end":
                self._statements.append("".join(self._parts))
                self._parts.clear()
                self._shape.append(";")
            case "bad":
                raise NotUnderstood("a quote that is not closed")
            case "glued":  # 1from: a name to some, a number and FROM to others
                raise NotUnderstood("a number with letters at its end")
            case "string" | "string2" | "number":
                self._put(token, "\0")  # not ?, which is a parameter
            case _:
                if token == "-" and self._parts[-1:] == ["-"]:  # noqa: S105 - two begin a comment to sqlglot
                    self._put(" ", " ")
                self._put(token, token)

    def finish(self) -> Reading:
        if self._open:
            raise NotUnderstood("a versioned comment that is not closed")
        self._statements.append("".join(self._parts))
        statements = tuple(stripped for part in self._statements if (stripped := part.strip()))
        comments = Comments(tuple(self._comments))
        return Reading(statements, "".join(self._shape), comments, frozenset(self._versions))

    def _put(self, part: str, shape: str) -> None:
        self._parts.append(part)
        self._shape.append(shape)

    def _version(self, version: str) -> None:
        if self._open:
            raise NotUnderstood("a comment in a versioned comment")
        self._comments.append(version)
        digits = version.lstrip("M!")
        if len(digits) > 6 or (
            len(digits) == 6 and not self._text[self.position : self.position + 1].isspace()
        ):
            raise NotUnderstood("a versioned comment whose version is not clear")
        self._put(" ", " ")
        if version != "!":  # without a version it is always run
            self._versions.add(version)
        if version == "!" or version in self._executed:
            self._open = True
            return
        if "/*" in self._skip():
            raise NotUnderstood("a comment in a versioned comment")

    def _block(self) -> None:
        if self._open:
            raise NotUnderstood("a comment in a versioned comment")
        self._comments.append(self._skip())
        self._put(" ", " ")

    def _skip(self) -> str:
        end = self._text.find("*/", self.position)
        if end < 0:
            raise NotUnderstood("a comment that is not closed")
        inside = self._text[self.position : end]
        self.position = end + 2
        return inside
