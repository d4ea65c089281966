"""Environment variables that other set-ups use and this one does not."""

import os
from collections.abc import Iterator


def ignored_variables() -> Iterator[str]:
    """What a person who set them should know, for the NLB."""
    if os.environ.get("ALB_ENDPOINTS"):
        yield (
            "$ALB_ENDPOINTS is ignored: modules announce themselves; "
            "give each ALB this NLB's address in `nlbs` or $NLB_ENDPOINTS"
        )
