"""`marchproxy down`: puts the pieces together and says what became of what."""

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from marchproxy.cli.down.ending import Denied, Ended, How, end_all, let_go
from marchproxy.cli.down.places import Places, find_places, find_processes
from marchproxy.cli.failing import fail, failing_clearly, warn
from marchproxy.cli.record import locked, read_record
from marchproxy.cli.running import run_client
from marchproxy.cli.screen import Sheet, columns, stdout
from marchproxy.cli.up.command import folders_of
from marchproxy.cli.up.report import Report
from marchproxy.engines.envoy.handle import read_start_ticks
from marchproxy.engines.envoy.leftovers import sweep
from marchproxy.engines.nftables import NftablesError
from marchproxy.nlb.dataplane.kernel.ownership import Rules, remove_rules

_ROUNDS = 5
_NAMES = 12
_TOLD = {Rules.REMOVED, Rules.ANOTHERS}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was ended, what became of the kernel's rules by the state folder of their NLB, and why something is left."""

    ended: Sequence[Ended]
    rules: Sequence[tuple[Path, Rules]]
    problem: str = ""


def run_down(file: Path, state_dir: Path | None, timeout: float | None, *, as_json: bool) -> None:
    """End what runs of the file and what a killed `up` left behind. Raises typer.Exit when something stays."""
    with failing_clearly(Denied, OSError), _told_whose():
        places = find_places(file, folders_of(file, state_dir), os.environ)
        _check_owner(places)
        patience = places.patience if timeout is None else timeout
        outcome = run_client(lambda: _down(places, patience))
    if as_json:
        typer.echo(json.dumps(_plain(places, outcome)))
    else:
        _show(places, outcome)
    if outcome.problem:
        fail(outcome.problem)


async def _down(places: Places, patience: float) -> Outcome:
    """Look again until nothing is found: what is killed may have been starting something."""
    report = Report(Console(stderr=True, highlight=False), _NAMES)
    deadline = asyncio.get_running_loop().time() + patience
    ended: list[Ended] = []
    for _ in range(_ROUNDS):
        places = find_places(places.file, places.folders, os.environ)  # a replica makes a folder of its own
        found = find_processes(places)
        if not found:
            return await _clear(places, ended)
        try:
            ended += await end_all(found, deadline, report)
        finally:
            let_go(found)
        if left := [str(one.what.pid) for one in ended if one.how is How.LEFT]:
            return Outcome(
                ended, (), f"survives SIGKILL, so only a restart of the host ends it: {', '.join(left)}"
            )
    return Outcome(ended, (), "its processes come back; end what starts them (systemd?), then say it again")


async def _clear(places: Places, ended: Sequence[Ended]) -> Outcome:
    """Remove the kernel's rules, while no `up` can start; there are no processes any more."""
    with nullcontext(True) if not places.folders.state.exists() else locked(places.folders.lock) as ours:
        if not ours:
            return Outcome(ended, (), "a new `marchproxy up` of it has been started meanwhile; say it again")
        rules: list[tuple[Path, Rules]] = []
        try:
            for home in places.homes:
                sweep(home / "envoy")
                rules.append((home, await remove_rules(home)))
        except NftablesError as error:
            return Outcome(ended, rules, f"{error}; run this as root, or with CAP_NET_ADMIN")
    return Outcome(ended, rules)


@contextmanager
def _told_whose() -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise Denied(
            f"{error.filename}: {error.strerror}; run this as the user whose it is, or as root"
        ) from error


def _check_owner(places: Places) -> None:
    """Before anything is ended: the `up` that runs in the folder must be the file's, and be known."""
    lock, state = places.folders.lock, places.folders.state
    record = read_record(lock)
    if record is not None and record.fingerprint not in places.names:
        owner = record.fingerprint
        fail(f"{state} is the folder of {owner}: `marchproxy down {owner} --state-dir {state}`")
    if not state.exists() or (record is not None and read_start_ticks(record.pid) == record.start_ticks):
        return
    with locked(lock) as ours:
        if not ours:
            fail(f"who holds {lock} is not known; `fuser {lock}` tells: end that, then say this again")


def _plain(places: Places, outcome: Outcome) -> dict[str, object]:
    rules = {home.name: found.value for home, found in outcome.rules if found is not Rules.NEVER_SET}
    ended = [
        {"kind": one.what.kind.value, "name": one.what.name, "pid": one.what.pid, "how": one.how.value}
        for one in outcome.ended
    ]
    return {"file": str(places.file), "ended": ended, "kernel_rules": rules, "problem": outcome.problem}


def _show(places: Places, outcome: Outcome) -> None:
    rows = [(one.what.kind.value, one.what.name, str(one.what.pid), one.how.value) for one in outcome.ended]
    rows += [("kernel rules", home.name, "", rules.value) for home, rules in outcome.rules if rules in _TOLD]
    if rows:
        stdout().print(Sheet(str(places.file), columns("what", "name", "#pid", "how"), rows).rendered())
    elif not outcome.problem:
        typer.echo(f"nothing of {places.file} is running")
        typer.echo(f"(looked in {places.folders.state}; give --state-dir where `up` was given one)")
    if any(rules is Rules.ABSENT for _, rules in outcome.rules):
        warn(
            "it once set rules in the kernel, and none are in this network namespace; when it ran in another one, "
            "say `ip netns exec NAMESPACE marchproxy down …`"
        )
