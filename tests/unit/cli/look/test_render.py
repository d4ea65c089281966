"""Messages in, words out."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console

from marchproxy.cli.look import sheets
from marchproxy.cli.look.explain import explanation_text
from marchproxy.cli.look.rollouts import rollouts
from marchproxy.contract.fleet.explaining import Explanation, InModule, Question, as_json_data
from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2

ROUTE = types_pb2.Route(
    route_id="shop",
    path_pattern="/",
    headers={"x-[beta]": "[red]yes[/]"},
    backends=[types_pb2.BackendRef(pool="v1", weight=95), types_pb2.BackendRef(pool="v2", weight=5)],
)


def printed(what: object) -> str:
    console = Console(width=200, highlight=False)
    with console.capture() as capture:
        console.print(what)
    return capture.get()


def test_routes_show_shares_and_who_serves_and_leave_markup_alone():
    entries = [
        nlb_pb2.RoutingEntry(route=ROUTE, target_instance_id="alb-1"),
        nlb_pb2.RoutingEntry(
            route=types_pb2.Route(route_id="lonely", backends=[types_pb2.BackendRef(pool="only")])
        ),
        nlb_pb2.RoutingEntry(
            route=types_pb2.Route(
                route_id="moved",
                redirect=types_pb2.Redirect(code=301),
                query=[types_pb2.QueryMatch(name="v")],
                source_pattern="10.0.0.0/8",
            )
        ),
        nlb_pb2.RoutingEntry(
            route=types_pb2.Route(
                route_id="llm", ai=types_pb2.AiRoute(models=[types_pb2.AiModel(name="gpt-*")])
            )
        ),
        nlb_pb2.RoutingEntry(route=types_pb2.Route(response=types_pb2.DirectResponse(status=418))),
    ]
    text = printed(sheets.routes(nlb_pb2.GetRoutingTableResponse(entries=entries)).rendered())
    for words in (
        "v1 95 %",
        "v2 5 %",
        "alb-1",
        "x-[beta]: [red]yes[/]",
        "only 100 %",
        "nobody",
        "redirect 301",
        "answer 418",
        "model gpt-*",
    ):
        assert words in text
    assert "?v, from 10.0.0.0/8" in text


def test_stats_put_routes_below_their_instance():
    answer = module_pb2.GetStatsResponse(
        stats=types_pb2.ModuleStats(total_requests=10, failed_requests=1, active_connections=4),
        routes={"shop": types_pb2.ModuleStats(total_requests=10, p99_latency_ms=1.234)},
    )
    lines = printed(sheets.stats({"alb-1": answer}).rendered()).splitlines()
    instance = next(number for number, line in enumerate(lines) if "alb-1" in line)
    assert lines[instance].split() == ["alb-1", "10", "1", "0.00", "0.00", "0.00", "4"]
    assert lines[instance + 1].split()[:2] == ["shop", "10"]
    assert "1.23" in lines[instance + 1]


def test_modules_tell_how_long_ago_they_were_heard_of():
    module = types_pb2.ModuleInstance(
        instance_id="alb-1",
        module_type=types_pb2.MODULE_TYPE_ALB,
        health_status=types_pb2.HEALTH_STATUS_HEALTHY,
        traffic_endpoints=[types_pb2.TrafficEndpoint(address="127.0.0.1:1", proxy_protocol=True)],
    )
    module.last_heartbeat.FromSeconds(100)
    text = printed(sheets.modules(nlb_pb2.ListModulesResponse(modules=[module]), now=107.0).rendered())
    assert "7 s ago" in text
    assert "127.0.0.1:1 (PROXY v2)" in text
    assert "healthy" in text


def test_modules_tell_what_the_nlb_has_trouble_with():
    module = types_pb2.ModuleInstance(
        instance_id="alb-1",
        health_status=types_pb2.HEALTH_STATUS_DEGRADED,
        metadata={"nlb.trouble.connects": "3 attempts to connect failed"},
    )
    text = printed(sheets.modules(nlb_pb2.ListModulesResponse(modules=[module]), now=0.0).rendered())
    assert "3 attempts to connect failed" in text


def test_listeners_show_what_they_share_and_ask_for():
    shop = nlb_pb2.Listener(
        name="shop",
        address="0.0.0.0:443",
        sharing="hello",
        data_plane="envoy",
        server_names=["shop.example", "*.shop.example"],
        alpn=["h2"],
        tls=nlb_pb2.TlsTermination(certificate="/c", key="/k", client_ca="/ca"),
        allow=["10.0.0.0/8"],
        deny=["10.9.0.0/16"],
        max_connections=1000,
        max_connections_per_source=5,
        proxy_protocol=True,
    )
    plain = nlb_pb2.Listener(name="plain", address="0.0.0.0:80", sharing="alone")
    status = nlb_pb2.GetNLBStatusResponse(
        listeners=[shop, plain],
        details={"data plane of shop": "envoy: as configured"},
        rate_limits=[
            types_pb2.RateLimit(limit_id="calm", target="listener:shop", requests_per_second=5, enabled=True),
            types_pb2.RateLimit(limit_id="off", target="listener:shop", requests_per_second=6),
        ],
    )
    text = printed(sheets.listeners(status).rendered())
    for words in (
        "shared by TLS hello",
        "ends TLS, clients show certificates",
        "names shop.example, *.shop.example",
        "alpn h2",
        "allows 10.0.0.0/8",
        "denies 10.9.0.0/16",
        "1000 connections",
        "5 connections per source",
        "PROXY protocol from anybody",
        "envoy: as configured",
        "5 a second (calm)",
    ):
        assert words in text
    assert "off" not in text
    (line,) = (line for line in text.splitlines() if "plain" in line)
    assert "shared" not in line


def test_limits_tell_who_keeps_them_and_what_they_did():
    kept = types_pb2.RateLimit(
        limit_id="calm", target="listener:web", requests_per_second=5, requests_per_hour=9, burst_size=7
    )
    kept.enabled = True
    status = nlb_pb2.GetNLBStatusResponse(
        rate_limits=[kept], details={"limit calm": "12 let pass, 3 refused"}
    )
    off = types_pb2.RateLimit(limit_id="off", target="shop", requests_per_minute=1)
    found = {"alb-1": module_pb2.GetRateLimitsResponse(limits=[off])}
    lines = printed(sheets.limits(status, found).rendered()).splitlines()
    nlb = next(line for line in lines if "calm" in line)
    for words in ("nlb", "listener:web", "5 a second, 9 an hour", "7", "12 let pass, 3 refused"):
        assert words in nlb
    module = next(line for line in lines if "alb-1" in line)
    assert "1 a minute (off)" in module
    assert "there are no rate limits" in printed(sheets.limits(nlb_pb2.GetNLBStatusResponse(), {}).rendered())


def test_a_connection_that_is_not_taken_got_no_404():
    verdict = module_pb2.CanHandleResponse(can_handle=False, reason="serves HTTP")
    nlb = nlb_pb2.RouteRequestResponse(routed=True, target_instance_id="alb-1")
    text = printed(explanation_text(Explanation(Question("redis", "h", 80), nlb, InModule(verdict))))
    assert "not taken by alb-1" in text
    assert "404" not in text


def test_empty_lists_say_so():
    assert "no module has registered" in printed(
        sheets.modules(nlb_pb2.ListModulesResponse(), now=0.0).rendered()
    )


def explanation(*, can_handle: bool = True) -> Explanation:
    nlb = nlb_pb2.RouteRequestResponse(
        routed=True, target_instance_id="alb-1", version="v1", trace=["one", "two"]
    )
    if not can_handle:
        verdict = module_pb2.CanHandleResponse(can_handle=False, reason="no route for GET /x")
        return Explanation(Question("http", "h", 80, "/x"), nlb, InModule(verdict))
    pool = types_pb2.BackendPool(
        name="v1",
        version="v1",
        endpoints=[
            types_pb2.BackendEndpoint(address="10.0.0.1:1", health_status=types_pb2.HEALTH_STATUS_HEALTHY),
            types_pb2.BackendEndpoint(address="10.0.0.2:1", health_status=types_pb2.HEALTH_STATUS_UNHEALTHY),
        ],
    )
    limit = types_pb2.RateLimit(limit_id="l", target="*", requests_per_minute=30)
    verdict = module_pb2.CanHandleResponse(can_handle=True, reason="it matches")
    return Explanation(Question("http", "h", 80), nlb, InModule(verdict, ROUTE, (pool,), (limit,)))


def test_an_explanation_has_every_step():
    text = printed(explanation_text(explanation()))
    for words in (
        "GET http://h:80/",
        "one",
        "two",
        "takes it: it matches",
        "pool v1 (v1) gets 95 %; healthy: 1 of 2 endpoints (10.0.0.1:1)",
        "limit l on *: 30 a minute; beyond it: 429",
        '→ alb-1, route "shop"',
    ):
        assert words in text


def chosen(*probabilities: float, **fields) -> types_pb2.PoolChoice:
    endpoints = [
        types_pb2.EndpointChoice(address=f"10.0.0.{number}:1", probability=share, weight=1)
        for number, share in enumerate(probabilities)
    ]
    return types_pb2.PoolChoice(pool="v1", version="v1", policy="in turn", endpoints=endpoints, **fields)


def told(*choices: types_pb2.PoolChoice) -> str:
    verdict = module_pb2.CanHandleResponse(can_handle=True, reason="it matches", choices=choices)
    nlb = nlb_pb2.RouteRequestResponse(routed=True, target_instance_id="alb-1", version="v1")
    return printed(explanation_text(Explanation(Question("http", "h", 80), nlb, InModule(verdict, ROUTE))))


def test_an_explanation_goes_down_to_the_endpoint():
    text = told(chosen(1, 0, probability=1))
    assert "pool v1 (v1) gets 100 %: an endpoint in turn; 2 of 2 are sound" in text
    assert "10.0.0.0:1: chosen" in text
    assert "10.0.0.1:1: 0 %" in text
    assert '→ alb-1, route "shop", pool v1, 10.0.0.0:1' in text


def test_an_explanation_tells_chances_where_nothing_is_certain():
    choice = chosen(2 / 3, 1 / 3, 0, probability=0.25)
    troubled = choice.endpoints[2]
    troubled.name, troubled.weight, troubled.priority, troubled.active_requests = "b.test:1", 7, 1, 3
    troubled.trouble = "left out for its failures"
    text = told(choice, chosen(0.5, 0.5, probability=0.75))
    assert "pool v1 (v1) gets 25 %: an endpoint in turn; 2 of 3 are sound" in text
    assert "10.0.0.0:1: 66.7 %" in text
    assert (
        "10.0.0.2:1 (b.test:1): 0 %, weight 7, priority 1, 3 requests in flight, left out for its failures"
        in text
    )
    assert '→ alb-1, route "shop"\n' in text
    assert '→ alb-1, route "shop", pool v1\n' in told(chosen(0.5, 0.5, probability=1))


def test_a_pool_that_gets_nothing_is_named_alone():
    text = told(chosen(1, probability=0), chosen(1, probability=1))
    assert "pool v1 (v1) gets 0 %\n" in text
    assert text.count("chosen") == 1


def test_where_nobody_is_sound_everyone_is_tried():
    choice = chosen(0.5, 0.5, probability=1)
    for endpoint in choice.endpoints:
        endpoint.trouble = "fails its health check"
    assert "0 of 2 are sound, so every one is tried" in told(choice)


def test_an_explanation_of_many_endpoints_is_short():
    text = told(chosen(*[0.01] * 100, probability=1))
    assert "10.0.0.9:1" in text
    assert "10.0.0.10:1" not in text
    assert "and 90 more; --json has them all" in text


def test_an_explanation_says_why_no_endpoint_is_told():
    seen = explanation()
    seen.module.verdict.metadata["choices"] = "Envoy does not answer"
    text = printed(explanation_text(seen))
    assert "which endpoint cannot be told: Envoy does not answer" in text
    assert "healthy: 1 of 2 endpoints" in text


def test_an_explanation_says_why_not():
    refused = explanation(can_handle=False)
    assert not refused.served
    text = printed(explanation_text(refused))
    assert "does not take it: no route for GET /x" in text
    assert "404" in text
    nowhere = Explanation(Question("tcp", "h", 1), nlb_pb2.RouteRequestResponse(trace=["no listener"]))
    assert not nowhere.served
    assert "goes nowhere" in printed(explanation_text(nowhere))


def test_an_explanation_says_what_the_route_does_and_whom_it_turns_away():
    route = types_pb2.Route(
        route_id="old",
        path_pattern="/old",
        redirect=types_pb2.Redirect(prefix="/new"),
        deny=["10.0.0.0/8"],
    )
    verdict = module_pb2.CanHandleResponse(can_handle=True, reason="it matches")
    limit = types_pb2.RateLimit(limit_id="l", target="old", requests_per_second=3, per="header:x-user")
    nlb = nlb_pb2.RouteRequestResponse(routed=True, target_instance_id="alb-1", version="v1")
    inside = InModule(verdict, route, (), (limit,))
    somebody = Explanation(Question("http", "h", 80, "/old/x"), nlb, inside)
    assert somebody.served
    text = printed(explanation_text(somebody))
    assert "answers 308: http://h/new/x" in text
    assert "limit l on old: 3 a second for each header x-user; beyond it: 429" in text
    denied = Explanation(Question("http", "h", 80, "/old/x", client="10.0.0.1"), nlb, inside)
    assert not denied.served
    assert '✗ route "old" denies 10.0.0.1: answered 403' in printed(explanation_text(denied))


def test_a_route_of_a_newer_module_is_told_as_far_as_it_can_be_read():
    verdict = module_pb2.CanHandleResponse(can_handle=True, reason="it matches")
    route = types_pb2.Route(route_id="r", sticky=types_pb2.Sticky(kind=99))
    nlb = nlb_pb2.RouteRequestResponse(routed=True, target_instance_id="alb-1")
    text = printed(explanation_text(Explanation(Question("http", "h", 80), nlb, InModule(verdict, route))))
    assert "what else it does cannot be told: route.sticky.kind: unknown value 99" in text


def test_an_explanation_for_programs_keeps_the_contracts_names():
    data = as_json_data(explanation())
    assert data["served"] is True
    assert data["nlb"]["target_instance_id"] == "alb-1"
    assert [pool["name"] for pool in data["module"]["pools"]] == ["v1"]


def test_scaling_tells_who_wanted_what_and_why():
    decision = nlb_pb2.ScalingDecision(
        module_type=types_pb2.MODULE_TYPE_ALB,
        way="up",
        current_instances=1,
        wanted_instances=3,
        reason="connections 25.0 of 10",
        outcome="alb-1: done",
        manual=True,
    )
    decision.decided_at.FromSeconds(0)
    text = printed(sheets.scaling(nlb_pb2.GetNLBStatusResponse(scaling=[decision])).rendered())
    for words in ("1970-01-01 00:00:00", "alb", "up by request", "connections 25.0 of 10", "alb-1: done"):
        assert words in text
    assert "nothing has been decided" in printed(sheets.scaling(nlb_pb2.GetNLBStatusResponse()).rendered())


def test_rollouts_show_each_decision_with_its_numbers():
    first = types_pb2.RolloutDecision(
        at=Timestamp(seconds=1_800_000_000), verdict="advanced", reason="started at 5 %", percent_after=5
    )
    last = types_pb2.RolloutDecision(
        at=Timestamp(seconds=1_800_000_060),
        verdict="rolled_back",
        reason="rolled back: 3.00 % errors",
        percent_before=5,
        canary=types_pb2.RolloutSample(requests=100, failures=3, p99_latency_ms=12.34),
        baseline=types_pb2.RolloutSample(requests=1900),
        p_value=0.000123,
    )
    rollout = types_pb2.RolloutStatus(
        version="v2", phase="rolled_back", route_id="web", decisions=[first, last]
    )
    answers = {"nlb": module_pb2.GetActiveVersionResponse(rollouts=[rollout])}
    heading, *rows = [line for line in printed(rollouts(answers).rendered()).splitlines() if " % " in line]
    assert "nlb web" in heading
    for words in (
        "rolled back at 0 %",
        "5 → 0 %",
        "3 of 100 failed, p99 12.3 ms",
        "0 of 1900 failed",
        "0.00012",
    ):
        assert words in heading
    assert [("0 → 5 %" in row, "started at 5 %" in row, "nlb" in row) for row in rows] == [
        (True, True, False)
    ]
    assert "no version was promoted in steps" in printed(rollouts({}).rendered())


def test_backends_that_were_found_and_what_troubles_a_pool() -> None:
    listed = types_pb2.BackendEndpoint(address="10.0.0.1:80")
    found = types_pb2.BackendEndpoint(address="10.0.0.2:80")
    pools = [
        types_pb2.BackendPool(name="shop", endpoints=[listed], found=[found], trouble="a.yaml: not a list"),
        types_pb2.BackendPool(name="empty", trouble="no answer"),
    ]
    sheet = sheets.backends({"alb-1": module_pb2.GetBackendsResponse(pools=pools)})
    text = printed(sheet.rendered())
    assert "10.0.0.1:80" in text
    assert "10.0.0.2:80" in text
    assert text.count("a.yaml: not a list") == 1
    assert "no answer" in text


@pytest.mark.parametrize(
    ("limit", "instances", "words"),
    [
        ({}, 1, "30 a second"),
        ({}, 0, "30 a second"),  # of a module that is older
        ({}, 3, "30 a second among 3 instances"),
        ({"shared": True}, 3, "30 a second among 3 instances"),
        ({"shared": False}, 3, "30 a second"),
    ],
)
def test_a_limit_tells_among_how_many_it_is_divided(limit, instances, words):
    given = types_pb2.RateLimit(requests_per_second=30, **limit)
    assert sheets.rates(given, instances) == words


def test_who_serves_a_model():
    route = types_pb2.Route(route_id="llm", protocol=types_pb2.PROTOCOL_HTTP)
    verdict = module_pb2.CanHandleResponse(can_handle=True, reason="it takes it")
    verdict.metadata.update(
        {"model": "fast", "pools": "a 100 % of tier 0", "unsound": "pool a: it has no endpoint"}
    )
    nlb = nlb_pb2.RouteRequestResponse(routed=True, target_instance_id="ailb-1", version="v1")
    question = Question("http", "h", 80, "/v1/messages", "POST", model="fast")
    text = printed(explanation_text(Explanation(question, nlb, InModule(verdict, route, (), ()))))
    assert 'the model "fast" is served by a 100 % of tier 0; pool a: it has no endpoint' in text


def test_sessions_of_a_database():
    route = types_pb2.Route(
        route_id="pg",
        protocol=types_pb2.PROTOCOL_POSTGRES,
        backends=[types_pb2.BackendRef(pool="v1", weight=100)],
        database=types_pb2.DatabaseRoute(databases=["shop", "crm"], users=["app_*"]),
    )
    verdict = module_pb2.CanHandleResponse(can_handle=True, reason="it takes it")
    verdict.metadata.update({"reads": "from the primary", "firewall": "no-ddl", "match": "x"})
    limits = (
        types_pb2.RateLimit(
            limit_id="l", target="pg", requests_per_second=5, per="user", counts="LIMIT_UNIT_CONNECTIONS"
        ),
        types_pb2.RateLimit(limit_id="m", target="*", max_concurrent=9),
    )
    nlb = nlb_pb2.RouteRequestResponse(routed=True, target_instance_id="dblb-1", version="v1")
    question = Question("postgres", "h", 5432, user="ann", database="shop")
    text = printed(explanation_text(Explanation(question, nlb, InModule(verdict, route, (), limits))))
    for words in (
        "a postgres connection to h:5432 of user ann for database shop",
        "reads: from the primary",
        "firewall: no-ddl",
        "limit l on pg: 5 connections a second for each user; beyond it: refused",
        "limit m on *: 9 connections at once; beyond it: refused",
    ):
        assert words in text
    table = nlb_pb2.GetRoutingTableResponse(entries=[nlb_pb2.RoutingEntry(route=route)])
    assert "database shop or crm" in printed(sheets.routes(table, {}).rendered())


def test_streams():
    route = types_pb2.Route(
        route_id="live",
        protocol=types_pb2.PROTOCOL_RTMP,
        rtmp=types_pb2.RtmpRoute(apps=["live", "vod"], streams=["cam?"]),
    )
    verdict = module_pb2.CanHandleResponse(can_handle=True, reason="it takes it")
    verdict.metadata.update({"origin": "the module itself", "publish": "keys", "match": "x"})
    nlb = nlb_pb2.RouteRequestResponse(routed=True, target_instance_id="rtmp-1", version="v1")
    question = Question("rtmp", "h", 1935, app="live", stream="cam1")
    text = printed(explanation_text(Explanation(question, nlb, InModule(verdict, route))))
    for words in (
        "an rtmp connection to h:1935 for stream live/cam1",
        "origin: the module itself",
        "publish: keys",
        '→ rtmp-1, route "live"',
    ):
        assert words in text
    table = nlb_pb2.GetRoutingTableResponse(entries=[nlb_pb2.RoutingEntry(route=route)])
    printed_table = printed(sheets.routes(table, {}).rendered())
    assert "app live or vod" in printed_table
    assert "stream cam?" in printed_table
