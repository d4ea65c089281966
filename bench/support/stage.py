"""The frame of every benchmark: its options, a temporary directory, and nothing left running at the end."""

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.support.processes import NotReady, adopt_orphans, end_orphans, stop_on_term
from bench.support.report import Report, show


def run(
    name: str, description: str, measure: Callable[[Path, bool], Report], *, needs: Sequence[str] = ()
) -> None:
    """Parse the command line, measure, show; `measure` gets the directory and whether to be quick.

    `needs`: the programs that must be installed.
    """
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=description)
    parser.add_argument("--quick", action="store_true", help="fewer, shorter rounds: less than a minute")
    quick = parser.parse_args().quick
    if missing := [program for program in needs if shutil.which(program) is None]:
        sys.exit(f"bench.{name}: {', '.join(missing)} not found; run scripts/install-servers.sh bench")
    try:
        with _stage(name) as directory:
            report = measure(directory, quick)
    except NotReady as error:
        sys.exit(f"bench.{name}: {error}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    show(report)


@contextmanager
def _stage(name: str) -> Iterator[Path]:
    stop_on_term()
    adopt_orphans()
    try:
        with tempfile.TemporaryDirectory(prefix=f"marchproxy-bench-{name}-") as directory:
            yield Path(directory)
    finally:
        end_orphans()
