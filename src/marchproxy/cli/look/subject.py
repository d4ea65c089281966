"""What `marchproxy get` lists; apart from the rest, because help needs the names and nothing else."""

from enum import StrEnum


class Subject(StrEnum):
    """What can be asked for."""

    modules = "modules"
    routes = "routes"
    listeners = "listeners"
    limits = "limits"
    scaling = "scaling"
    rollouts = "rollouts"
    stats = "stats"
    pools = "pools"
    backends = "backends"
    streams = "streams"
