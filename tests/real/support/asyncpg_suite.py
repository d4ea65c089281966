"""asyncpg's own tests through DBLB."""

from pathlib import Path

from tests.real.dblb_rig import PASSWORD, dblb
from tests.real.support.asyncpg_excuses import APART, DESELECTED, excused
from tests.real.support.databases import postgres
from tests.real.support.suites import failing, sources


async def judge_by_asyncpg(pooling: str, directory: Path, *, without: tuple[str, ...] = ()) -> None:
    """All modules of the suite but those `without`: exactly the excused tests fail."""
    tests = await sources("asyncpg", "tests", "pyproject.toml")
    names = {file.stem.removeprefix("test_") for file in (tests / "tests").glob("test_*.py")}
    modules = names - {*APART, *without}
    arguments = [f"tests/test_{module}.py" for module in sorted(modules)]
    arguments += [f"--deselect={test}" for test in DESELECTED]
    kinds = {pooling: {"pooling": pooling, "size": 90}}
    async with postgres() as server, dblb(directory, "postgres", [f"127.0.0.1:{server}"], kinds) as system:
        env = {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(system.direct),
            "PGUSER": "app",
            "PGDATABASE": "app",
            "PGPASSWORD": PASSWORD,
        }
        failed, passed = await failing(
            tests, ["-p", "no:asyncio", *arguments], directory / "result.xml", env, within=110
        )
    may_fail, do_fail = excused(pooling, modules)
    wrong = {name: said for name, said in failed.items() if name not in may_fail}
    assert not wrong, f"they fail: {wrong}"
    held = do_fail - set(failed)
    assert not held, f"they pass: take their excuses away: {held}"
    assert passed > 10 * len(modules)
