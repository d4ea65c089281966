"""bench.postgres: DBLB against PgBouncer, HAProxy and no proxy at all."""
