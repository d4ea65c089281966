"""A running ALB's Envoy as a static bootstrap, and what it can be rid of one at a time. No I/O.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/admin/v3/config_dump.proto
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Config = dict[str, Any]
Change = Callable[[Config], None]

# what a configuration cannot do without
_MANAGER = frozenset({"@type", "stat_prefix", "codec_type", "route_config", "http_filters", "access_log"})
_TABLE = frozenset({"name", "virtual_hosts"})
_HOST = frozenset({"name", "domains", "routes"})
_ROUTE = frozenset({"name", "match", "route"})
_ACTION = frozenset({"cluster"})
_CLUSTER = frozenset({"name", "type", "load_assignment", "connect_timeout", "@type"})


def static_copy(dump: Mapping[str, Any], port: int) -> Config:
    """What `/config_dump?include_eds` tells, with its first listener at this port and nothing fetched any more."""
    sections = {section["@type"].rpartition(".")[2]: section for section in dump["configs"]}
    listener = sections["ListenersConfigDump"]["dynamic_listeners"][0]["active_state"]["listener"]
    listener["address"]["socket_address"]["port_value"] = port
    clusters = [one["cluster"] for one in sections["ClustersConfigDump"].get("dynamic_active_clusters", ())]
    endpoints = [
        one["endpoint_config"]
        for one in sections.get("EndpointsConfigDump", {}).get("dynamic_endpoint_configs", ())
    ]
    by_cluster = {one["cluster_name"]: _sound(one) for one in endpoints if one.get("cluster_name")}
    for cluster in clusters:
        if "eds_cluster_config" in cluster:
            del cluster["eds_cluster_config"]
            cluster.update(type="STATIC", load_assignment=by_cluster[cluster["name"]])
    delivered = [one["ecds_filter"] for one in sections.get("EcdsConfigDump", {}).get("ecds_filters", ())]
    by_name = {one["name"]: one["typed_config"] for one in delivered}
    found = {"static_resources": {"listeners": [listener], "clusters": clusters}}
    manager = manager_of(found)
    for one in manager["http_filters"]:
        if "config_discovery" in one:
            del one["config_discovery"]
            one["typed_config"] = by_name[one["name"]]
    del manager["rds"]
    manager["route_config"] = sections["RoutesConfigDump"]["dynamic_route_configs"][0]["route_config"]
    for unwanted in (*clusters, *endpoints, listener, manager["route_config"]):
        unwanted.pop("@type", None)
    return found


def _sound(assignment: Config) -> Config:
    """Envoy tells weights of 0 for localities that have none, and does not take them."""
    for locality in assignment["endpoints"]:
        if not locality.get("load_balancing_weight"):
            locality.pop("load_balancing_weight", None)
    return assignment


def manager_of(config: Config) -> Config:
    """The HTTP connection manager of the only listener."""
    (chain,) = config["static_resources"]["listeners"][0]["filter_chains"]
    manager: Config = chain["filters"][-1]["typed_config"]
    return manager


def without(config: Config, change: Change) -> Config:
    """A copy that was changed."""
    changed = copy.deepcopy(config)
    change(changed)
    return changed


def pieces(config: Config) -> Iterator[tuple[str, Change]]:
    """What could be left out of an ALB with one route, each with what leaves it out."""
    yield from _filter_pieces(config)
    manager = manager_of(config)
    for number, log in enumerate(manager.get("access_log", ())):
        counted = ", ".join(sorted(log["typed_config"].keys() - {"@type", "stat_prefix"}))
        yield f"access log {number + 1} ({counted})", _drop_log(number)
    yield from _fields("connection manager", manager_of, manager, _MANAGER)
    yield from _fields("route configuration", _table_of, _table_of(config), _TABLE)
    yield from _fields("virtual host", _host_of, _host_of(config), _HOST)
    yield from _fields("route", _route_of, _route_of(config), _ROUTE)
    yield from _fields("route", _action_of, _action_of(config), _ACTION)
    yield from _fields("cluster", _cluster_of, _cluster_of(config), _CLUSTER)


def _filter_pieces(config: Config) -> Iterator[tuple[str, Change]]:
    filters = manager_of(config)["http_filters"]
    off = [one["name"] for one in filters if one.get("disabled")]
    if off:
        yield f"{len(off)} filters that are off", _drop_filters(off)
    for one in filters[:-1]:
        if not one.get("disabled"):
            yield f"filter {one['name']}", _drop_filters([one["name"]])
    if config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][:-1]:
        yield "network filters before HTTP", _drop_network_filters


def _drop_filters(names: Sequence[str]) -> Change:
    def drop(config: Config) -> None:
        manager = manager_of(config)
        manager["http_filters"] = [one for one in manager["http_filters"] if one["name"] not in names]

    return drop


def _drop_network_filters(config: Config) -> None:
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
    del chain["filters"][:-1]


def _drop_log(number: int) -> Change:
    def drop(config: Config) -> None:
        del manager_of(config)["access_log"][number]

    return drop


def _fields(
    where: str, find: Callable[[Config], Config], present: Config, needed: frozenset[str]
) -> Iterator[tuple[str, Change]]:
    for key in sorted(present.keys() - needed):
        yield f"{where}: {key}", _drop_field(find, key)


def _drop_field(find: Callable[[Config], Config], key: str) -> Change:
    def drop(config: Config) -> None:
        del find(config)[key]

    return drop


def _table_of(config: Config) -> Config:
    table: Config = manager_of(config)["route_config"]
    return table


def _host_of(config: Config) -> Config:
    host: Config = _table_of(config)["virtual_hosts"][0]
    return host


def _route_of(config: Config) -> Config:
    route: Config = _host_of(config)["routes"][0]
    return route


def _action_of(config: Config) -> Config:
    action: Config = _route_of(config)["route"]
    return action


def _cluster_of(config: Config) -> Config:
    cluster: Config = config["static_resources"]["clusters"][0]
    return cluster
