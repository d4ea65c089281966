"""Options that several commands have."""

from typing import Annotated

import typer

Nlb = Annotated[str, typer.Option("--nlb", envvar="MARCHPROXY_NLB", help="The NLB's gRPC address.")]
DEFAULT_NLB = "127.0.0.1:50050"
