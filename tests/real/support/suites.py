"""Test suites of others, run by a pytest of their own: which of their tests failed."""

import asyncio
import os
import sys
import tarfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.real.support.databases import run


async def sources(package: str, *parts: str) -> Path:
    """The folder with these parts of an installed package's source, which its wheel leaves out; fetched once for an environment."""
    name = f"{package}-{version(package)}"
    kept = Path(sys.prefix) / "share" / "suites"
    if not all((kept / name / part).exists() for part in parts):
        kept.mkdir(parents=True, exist_ok=True)
        wanted = name.replace("-", "==")
        fetch = ("download", "--quiet", "--no-binary", package, "--no-deps", "--dest", str(kept), wanted)
        await run(sys.executable, "-m", "pip", "--disable-pip-version-check", *fetch, within=120)
        beginnings = tuple(f"{name}/{part}" for part in parts)
        with tarfile.open(kept / f"{name}.tar.gz") as archive:
            members = [item for item in archive if item.name.startswith(beginnings)]
            archive.extractall(kept, members=members, filter="data")
    return kept / name


async def failing(
    folder: Path, arguments: Sequence[str], result: Path, env: Mapping[str, str], *, within: float
) -> tuple[dict[str, str], int]:
    """The tests that fail, as `Class::test`, with what they say, and how many passed. Raises TimeoutError."""
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--timeout=30", f"--junitxml={result}")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PG"))}
    log = result.with_suffix(".log")
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pytest", *options, *arguments),
            cwd=folder,
            env={**kept, **env},
            stdout=output,
            stderr=output,
        )
    try:
        async with asyncio.timeout(within):
            ended = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert ended in {0, 1}, f"the suite did not run:\n{log.read_text()[-4000:]}"
    return _judged(result)


def _judged(result: Path) -> tuple[dict[str, str], int]:
    failed: dict[str, str] = {}
    passed: set[str] = set()
    for case in ET.parse(result).iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        faults = [part.get("message", "") for part in case if part.tag in {"failure", "error"}]
        if faults:
            failed.setdefault(name, faults[0][:300])
        elif not any(part.tag == "skipped" for part in case):
            passed.add(name)
    return failed, len(passed - set(failed))
