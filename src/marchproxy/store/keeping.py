"""Keeping secrets sealed with the right key: told at the start when it is another, sealed anew when there is a newer one."""

from sqlalchemy import Connection, Table, insert, literal, select, update

from marchproxy.kit.logs import get_logger
from marchproxy.store.sealing import Sealer
from marchproxy.store.tables import certificates, meta, revisions

_log = get_logger(__name__)
_CHECK = "store.sealed"
_WORD = b"marchproxy"


def check_key(connection: Connection, sealer: Sealer) -> None:
    """Compare the keys with those that this database was sealed with; raises StoreUnusable when none of them fits.

    Where it was with one that is no longer the newest, all of it is sealed anew, in the transaction that is open.
    """
    kept = connection.scalar(select(meta.c.value).where(meta.c.name == _CHECK))
    if kept is None:
        connection.execute(insert(meta).values(name=_CHECK, value=sealer.seal(_WORD).decode()))
        return
    sealer.unseal(kept.encode())
    if sealer.is_newest(kept.encode()):
        return
    for table, column in ((revisions, "document"), (certificates, "key_pem")):
        _seal_anew(connection, sealer, table, column)
    value = sealer.seal(_WORD).decode()
    connection.execute(update(meta).where(meta.c.name == _CHECK).values(value=value))
    _log.info("sealed anew with the first key; the others are not needed any more", file=str(sealer.path))


def _seal_anew(connection: Connection, sealer: Sealer, table: Table, column: str) -> None:
    (key,) = table.primary_key
    sealed = table.c[column]
    for name in connection.scalars(select(key).where(sealed != literal(b""))).all():
        old = connection.scalars(select(sealed).where(key == name)).one()
        values = {column: sealer.seal(sealer.unseal(old))}
        connection.execute(update(table).where(key == name).values(values))
