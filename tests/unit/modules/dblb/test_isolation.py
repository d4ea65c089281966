from marchproxy.contract.document import decode, encode
from marchproxy.model.problem import Problem
from marchproxy.modules.dblb.isolation import without

STATE = decode(b"""
authentication:
  - {name: people, kind: userlist, file: /people}
  - {name: staff, kind: basic, file: /staff}
pools:
  - {name: p, protocol: postgres, endpoints: ["a:1"]}
  - {name: q, protocol: postgres, endpoints: ["b:1"]}
  - {name: web}
routes:
  - {id: plain, protocol: postgres, backends: [p], database: {databases: [a]}}
  - {id: known, protocol: postgres, backends: [p], authentication: [people], database: {databases: [b]}}
  - {id: other, protocol: postgres, backends: [{pool: p, weight: 50}, {pool: q, weight: 50}], database: {databases: [c]}}
  - {id: page, backends: [web], authentication: [staff]}
rate_limits:
  - {id: l, target: known, max_concurrent: 1}
  - {id: m, target: "*", max_concurrent: 1}
""")


def left(*paths):
    state = without(STATE, [Problem(path, "") for path in paths])
    assert decode(encode(state)) == state  # workers take sound documents only
    return [route.route_id for route in state.routes], [limit.limit_id for limit in state.rate_limits]


def test_routes_go_with_what_they_name():
    assert left() == (["plain", "known", "other", "page"], ["l", "m"])
    assert left("authentication[0].file") == (["plain", "other", "page"], ["m"])
    assert left("pools[1].database.users") == (["plain", "known", "page"], ["l", "m"])
    assert left("pools[0].tls", "authentication[1].file") == (["page"], [])  # m limits nobody any more
    assert left("routes[0].database") == (["known", "other", "page"], ["l", "m"])
