"""Priority: how important a request is, from 0 (first) to 9. Pure."""

#: Of who does not say.
USUAL = 5
_LAST = 9


def priority_of(asked: str, own: int | None) -> int:
    """Of a request that asks for `asked` in its header (empty: it does not). `own`: its key's, the best that it may ask
    for; None: it has no key."""
    usual = USUAL if own is None else own
    asked = asked.strip()
    if not (asked.isascii() and asked.isdigit() and len(asked) == 1):
        return min(usual, _LAST)
    return max(int(asked), own or 0)
