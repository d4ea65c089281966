"""When the Envoy that runs is to hand over to another: what is wanted differs from what runs. Pure."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Renewal:
    """What is known of it; fingerprints stand for binary, bootstrap and arguments.

    `seen` was wanted at the last look, `failed` did not come up, `trouble` says what is wrong, for people.
    """

    seen: str = ""
    failed: str = ""
    trouble: str = ""


def look(known: Renewal, *, running: str, wanted: str) -> tuple[Renewal, bool]:
    """Return what is known now, and whether to hand over.

    What is wanted must be the same at two looks, because a binary is not written in one go; and what failed is not
    tried again by itself.
    """
    seen = replace(known, seen=wanted)
    if wanted == running:
        return Renewal(seen=wanted), False
    return seen, wanted == known.seen and wanted != known.failed


def fail(known: Renewal, wanted: str, reason: str) -> Renewal:
    """Return what is known after `wanted` did not come up."""
    words = f"the hot restart failed, and the Envoy before it serves on: {reason}"
    return replace(known, failed=wanted, trouble=words)
