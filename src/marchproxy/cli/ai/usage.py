"""`marchproxy ai usage`: journals added up, as a table or as JSON."""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from marchproxy.cli.failing import fail, warn
from marchproxy.cli.screen import Sheet, columns, stdout
from marchproxy.kit.files import default_state_dir
from marchproxy.modules.ailb.ledger.entry import Entry
from marchproxy.modules.ailb.ledger.file_store import FileStore
from marchproxy.modules.ailb.ledger.folder import journal_files
from marchproxy.modules.ailb.ledger.periods import DAY, SECOND, iso, nanoseconds, today
from marchproxy.modules.ailb.ledger.prices import MICRO
from marchproxy.modules.ailb.ledger.usage import By, Report, Sum, report

_AGO = re.compile(r"([0-9]{1,5})([hd])")
_UNITS = {"h": 3600 * SECOND, "d": DAY}
_REMEDY = "name the `state_dir` of the AILB, or run this on its machine"
_ALWAYS = 1 << 63


class NotAQuestion(ValueError):
    """An option cannot be understood; says which, and how it is written."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is added up. Times in nanoseconds since the epoch."""

    by: tuple[By, ...]
    since: int
    until: int
    where: Mapping[By, str]


def read_question(by: str, since: str, until: str, where: Sequence[str], now: int | None = None) -> Question:
    """The question that options ask. Raises NotAQuestion."""
    now = time.time_ns() if now is None else now
    begins = _time("--since", since, now) if since else today(now).month_begins
    ends = _time("--until", until, now) if until else _ALWAYS
    chosen: dict[By, str] = {}
    for condition in where:
        name, equals, value = condition.partition("=")
        if not equals:
            raise NotAQuestion(f"--where {condition}: write it as team=red")
        chosen[_by("--where", name)] = value
    return Question(tuple(dict.fromkeys(_by("--by", name) for name in by.split(","))), begins, ends, chosen)


def show(folder: Path | None, question: Question, *, as_json: bool) -> None:
    """Print the report of all journals below a folder. Ends the command when there is none, or one cannot be read."""
    place = folder or default_state_dir()
    try:
        if not place.is_dir():
            fail(f"{place}: there is no such folder; {_REMEDY}")
        journals = sorted(find_journals(place))
        if not journals:
            fail(f"{place}: there is no journal of an AILB below it; {_REMEDY}")
        found = report(_entries(journals, question), question.by, question.where)
    except OSError as error:
        fail(f"{error.filename or place}: {error.strerror or error}")
    if as_json:
        typer.echo(json.dumps(plain(found)))
        return
    stdout().print(sheet(found).rendered())
    if found.total.estimated:
        warn(
            f"of {found.total.estimated} requests nobody has said what they used: it is guessed, or what was reserved"
        )


def find_journals(place: Path) -> set[Path]:
    """The folders with journals below a folder, and itself. Raises OSError."""
    return {path.parent for path in place.rglob("usage-*.jsonl") if journal_files(path.parent)}


def sheet(found: Report) -> Sheet:
    """The report as a table."""
    names = tuple(one.value for one in found.by)
    rows = [(*map(_shown, row), *_cells(sums)) for row, sums in found.rows.items()]
    if len(rows) > 1:
        rows.append(("all", *("" for _ in names[1:]), *_cells(found.total)))
    heads = columns(*names, "#requests", "#input", "#cached", "#output", "#cost", "#estimated")
    return Sheet("Usage", heads, rows, "nothing was used")


def plain(found: Report) -> dict[str, object]:
    """The report for programs; money in units, exact to a millionth."""
    rows = [
        dict(zip((one.value for one in found.by), row, strict=True)) | _plain(sums)
        for row, sums in found.rows.items()
    ]
    return {"rows": rows, "total": _plain(found.total)}


def _entries(journals: Sequence[Path], question: Question) -> Iterator[Entry]:
    for journal in journals:
        yield from FileStore(journal).entries(question.since, question.until)


def _plain(sums: Sum) -> dict[str, int | float]:
    return asdict(sums) | {"cost": sums.cost / MICRO}


def _shown(name: str) -> str:
    # models are called what clients call them: nothing of that may reach a terminal as a command
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in name) or "-"


def _cells(sums: Sum) -> tuple[str, ...]:
    tokens = (f"{number:,}" for number in (sums.requests, sums.input, sums.cached, sums.output))
    return (*tokens, f"{sums.cost / MICRO:,.4f}", str(sums.estimated or ""))


def _by(option: str, name: str) -> By:
    try:
        return By(name.strip())
    except ValueError as error:
        known = ", ".join(one.value for one in By)
        raise NotAQuestion(f"{option}: {name!r} is none of {known}") from error


def _time(option: str, text: str, now: int) -> int:
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now - int(ago[1]) * _UNITS[ago[2]]
    try:
        return nanoseconds(text)
    except ValueError as error:
        example = iso(now)[:10]
        raise NotAQuestion(f"{option}: {text!r} is not a time such as {example}, 24h or 7d") from error
