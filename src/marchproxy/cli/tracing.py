"""Traces of the commands that change a running system. They read no file: $MARCHPROXY_TRACING__ENDPOINT says where to."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from marchproxy.cli.failing import failing_clearly
from marchproxy.kit.settings import load
from marchproxy.kit.telemetry import Service, TracingSection, span, tracing

_PREFIX = "MARCHPROXY_TRACING__"


@contextmanager
def traced_command(name: str) -> Iterator[None]:
    """One trace for the length of the block, where the environment asks for it. Raises typer.Exit for bad variables."""
    with (
        failing_clearly(),
        tracing(from_environment(os.environ), Service("cli", str(os.getpid()))),
        span(name),
    ):
        yield


def from_environment(environ: Mapping[str, str]) -> TracingSection | None:
    """What the variables say that set the section `tracing` of a file; None without one. Raises SettingsError."""
    own = {name: value for name, value in environ.items() if name.startswith(_PREFIX) and value}
    return load(TracingSection, "", environ=own, prefix=_PREFIX) if own else None
