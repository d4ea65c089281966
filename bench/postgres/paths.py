"""The paths of bench.postgres, and how each peer is set up: pools of 20 connections wherever there is a pool."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.support.dblb import Asked, Path3, dblb, haproxy, listening
from bench.support.ports import free_ports
from bench.support.unprivileged import unprivileged

DIRECT, BOUNCER, HAPROXY, ONE, TWO = "direct", "pgbouncer", "haproxy", "dblb", "dblb_2"
WORDS = {
    DIRECT: "direct",
    BOUNCER: "PgBouncer",
    HAPROXY: "HAProxy TCP",
    ONE: "DBLB, 1 worker",
    TWO: "DBLB, 2 workers",
}
POOL = 20
_BOUNCER = """[databases]
app = host=127.0.0.1 port={upstream} user=app
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 5000
max_db_connections = {pool}
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
"""


@contextmanager
def every_path(server: int, directory: Path) -> Iterator[tuple[Path3, ...]]:
    """All paths ready to be used. Raises NotReady."""
    with ExitStack() as stack:
        yield (
            Path3(DIRECT, server),
            stack.enter_context(_pgbouncer(server, directory)),
            stack.enter_context(haproxy(HAPROXY, server, directory)),
            stack.enter_context(dblb(ONE, server, asked(workers=1), directory)),
            stack.enter_context(dblb(TWO, server, asked(workers=2), directory)),
        )


def asked(*, workers: int) -> Asked:
    """Transaction pooling, and nothing else."""
    return Asked("postgres", workers, {"size": POOL, "wait": 60})


@contextmanager
def _pgbouncer(server: int, directory: Path) -> Iterator[Path3]:
    (port,) = free_ports(1)
    file = directory / "pgbouncer.ini"
    file.write_text(_BOUNCER.format(upstream=server, port=port, pool=POOL))
    if unprivileged():
        # it refuses to serve root, and the directory is root's alone
        directory.chmod(0o755)
    with listening(BOUNCER, [*unprivileged(), "pgbouncer", file], port, directory) as path:
        yield path
