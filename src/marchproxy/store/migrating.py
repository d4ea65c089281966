"""Migrating: tables brought to the newest version by the migrations that are shipped beside."""

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from marchproxy.store.errors import StoreUnusable

#: The table that tells which migration was the last; an application that shares the database may have its own.
VERSION_TABLE = "marchproxy_version"


def migrate(connection: Connection, to: str = "head") -> None:
    """Run what is missing, in the transaction that is open. Raises StoreUnusable where a newer version has been."""
    config = _config()
    config.attributes["connection"] = connection
    found = version(connection)
    if found is not None and found == ScriptDirectory.from_config(config).get_current_head():
        return
    try:
        command.upgrade(config, to)
    except CommandError as error:
        raise StoreUnusable(
            f"the database has tables of version {found}, which this marchproxy does not know ({error}): "
            "start the newer one that made them, or restore a backup"
        ) from error


def version(connection: Connection) -> str | None:
    """The last migration of these tables; None where there are none."""
    return MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE}
    ).get_current_revision()


def versions() -> tuple[str, ...]:
    """All of them, the oldest first."""
    scripts = ScriptDirectory.from_config(_config()).walk_revisions()
    return tuple(script.revision for script in scripts)[::-1]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "marchproxy.store:migrations")
    config.set_main_option("path_separator", "os")
    return config
