"""Looker: scores a text for attempts to override instructions. Pure."""

from marchproxy.modules.ailb.guards.injection.hidden import find_encoded, find_hidden, plain
from marchproxy.modules.ailb.guards.injection.phrases import LONGEST, find_phrases
from marchproxy.modules.ailb.guards.span import Span

#: Who speaks for whoever runs the application: a system prompt that warns of an attempt is none.
_TRUSTED = frozenset({"system", "developer"})
_AT_LEAST = 1.0


class InjectionLooker:
    """Places are about right only: what is found is found in the text without accents and invisible characters."""

    step = 4096
    skips = _TRUSTED

    def look(self, text: str, start: int, end: int) -> list[Span]:
        """As a Looker's."""
        stop = min(len(text), end + LONGEST)
        piece = text[start:stop]
        found = [
            Span(start + first, min(start + last, stop), kind, weight)
            for first, last, kind, weight in find_phrases(plain(piece))
        ]
        if not piece.isascii():
            found += [Span(*hidden) for hidden in find_hidden(text, start, stop)]
        for first, last, said in find_encoded(text, start, stop):
            weight = sum(span.weight for span in find_phrases(plain(said)))
            if weight >= _AT_LEAST / 2:
                found.append(Span(first, last, "base64", _AT_LEAST))
        return sorted(found)
