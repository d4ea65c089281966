"""SQLAlchemy's tests for dialects, against one database."""

import re
import shutil
from pathlib import Path

from tests.real.support.suites import failing, sources

#: As SQLAlchemy's README.dialects wants the folder of a dialect to be.
_FILES = {
    "setup.cfg": """\
[tool:pytest]
addopts = --tb=short -p no:warnings -p no:asyncio --maxfail=10000
python_files = test_*.py

[sqla_testing]
requirement_cls = requirements:DefaultRequirements
profile_file = profiles.txt
""",
    "conftest.py": """\
import pytest

pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

from sqlalchemy.testing.plugin.pytestplugin import *
""",
    "test_suite.py": "from sqlalchemy.testing.suite import *\n",
}
#: The tests that fail, as `Class::test`, with what they say, and how many passed.
Judged = tuple[dict[str, str], int]
#: The classes of tests are called by the database too: DateTest_postgresql+psycopg_16_4.
_DATABASE = re.compile(r"_(postgresql|mysql|mariadb)\+[^:]*")


async def judged_by_sqlalchemy(folder: Path, url: str) -> Judged:
    """What holds there and what fails. `folder` is made. Raises TimeoutError.

    What each database can do is what SQLAlchemy says to its own tests.
    """
    folder.mkdir()
    for name, text in _FILES.items():
        (folder / name).write_text(text)
    known = await sources("sqlalchemy", "test/requirements.py")
    shutil.copy(known / "test" / "requirements.py", folder)
    failed, passed = await failing(
        folder, ["test_suite.py", f"--dburi={url}"], folder / "result.xml", {}, within=200
    )
    return {_DATABASE.sub("", name): said for name, said in failed.items()}, passed
