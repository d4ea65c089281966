from marchproxy.contract.document import decode, encode
from marchproxy.model.problem import Problem
from marchproxy.modules.rtmp.isolation import without
from marchproxy.modules.rtmp.plan import compile_plan

STATE = decode(b"""
authentication:
  - {name: keys, kind: stream_keys, file: /keys}
  - {name: tokens, kind: signed, file: /secret}
pools:
  - {name: p, protocol: rtmp, endpoints: ["a:1"]}
  - {name: web}
routes:
  - {id: open, protocol: rtmp, rtmp: {apps: [a]}}
  - {id: known, protocol: rtmp, rtmp: {apps: [b], publish: [keys]}}
  - {id: seen, protocol: rtmp, rtmp: {apps: [c], play: [tokens]}, backends: [p]}
  - {id: page, backends: [web]}
rate_limits:
  - {id: l, target: known, max_concurrent: 1}
  - {id: m, target: "*", counts: connections, requests_per_second: 1}
  - {id: n, target: "*", requests_per_second: 1}
  - {id: o, target: "*", per: client, requests_per_second: 1}
""")


def left(*paths):
    state = without(STATE, [Problem(path, "") for path in paths])
    assert decode(encode(state)) == state  # workers take sound documents only
    return [route.route_id for route in state.routes], [limit.limit_id for limit in state.rate_limits]


def test_routes_go_with_what_they_name():
    assert left() == (["open", "known", "seen", "page"], ["l", "m", "n", "o"])
    assert left("authentication[0].file") == (["open", "seen", "page"], ["m", "n", "o"])
    assert left("authentication[1].file") == (["open", "known", "page"], ["l", "m", "n", "o"])
    assert left("pools[0].tls") == (["open", "known", "page"], ["l", "m", "n", "o"])
    assert left(*(f"routes[{index}].rtmp" for index in range(3))) == (["page"], ["n", "o"])


def test_limits_of_a_route_are_those_that_count_connections():
    plan, problems = compile_plan(STATE, {"/keys": b"live/*:k", "/secret": "cannot be read"})
    limits = {route.route_id: [limit.limit_id for limit in route.limits] for route in plan.routes}
    assert limits == {"open": ["m"], "known": ["l", "m"], "seen": ["m"]}
    assert [str(problem) for problem in problems] == ["authentication[1].file: /secret: cannot be read"]
