"""A process that commits one revision after the other and says so, until it is killed: `python -m … FILE KEY`."""

import asyncio
import sys
from pathlib import Path

from marchproxy.store import Sealer, StoreSettings, open_store
from tests.store_suite.place import draft


async def main(file: Path, key: Path) -> None:
    async with open_store(StoreSettings(f"sqlite:///{file}"), Sealer.of_file(key)) as store:
        head = await store.head()
        parent = head.number if head else None
        while True:
            begun = await store.begin(draft(parent, b"document %d" % ((parent or 0) + 1) * 1000))
            say(f"begun {begun.number}")
            await store.commit(begun.number)
            say(f"committed {begun.number}")
            parent = begun.number


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
