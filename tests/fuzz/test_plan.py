"""The plan compiler and what the data planes make of its plans, for any listeners, instances and verdicts."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import event, given
from hypothesis import strategies as st

from marchproxy.engines.envoy.xds.snapshot import check
from marchproxy.engines.nftables import EndpointId
from marchproxy.engines.nftables.plan import find_problems
from marchproxy.model.checks import check_limits, check_listeners, check_sharing
from marchproxy.model.plan import ForwardingPlan, compile_plan
from marchproxy.model.sharing import Sharing, share, socket_of
from marchproxy.nlb.dataplane.choosing import Ground, Situation, choose_plane
from marchproxy.nlb.dataplane.division import divide
from marchproxy.nlb.dataplane.kernel.frontends import LARGEST_WEIGHT, build_kernel, whole_weights
from marchproxy.nlb.dataplane.plane import Forwarding, PlaneRefused, park
from marchproxy.nlb.dataplane.resources import Surroundings, build_draft
from marchproxy.nlb.dataplane.resources.tls import Material
from tests.fuzz.worlds import limits, listeners, routes, worlds

RESOLVED = {host: host for host in ("127.0.0.1", "10.0.0.1", "10.0.0.2", "0.0.0.0", "::1", "fd00::1")}
GROUNDS = st.builds(
    Ground,
    st.sampled_from(["", "", "no nft here"]),
    st.just(frozenset({"10.0.0.1", "fd00::1"})),
    st.sampled_from([frozenset({4, 6}), frozenset()]),
    st.sampled_from([True, True, False]),
    st.just(RESOLVED),
)


MATERIAL = Material(b"a certificate", b"a key")


def sound(ports, limits):
    """The ports and limits that a document's checks let pass."""
    kept = [
        port
        for port in ports
        if not any(check_listeners(port.listeners)) and not any(check_sharing(port.listeners))
    ]
    listeners_ = [one for port in kept for one in port.listeners]
    while (problem := next(check_limits(limits, (), listeners_), None)) is not None:
        at = int(problem.path.partition("[")[2].partition("]")[0])
        limits = [*limits[:at], *limits[at + 1 :]]
    return kept, limits


def carried(ports, forwarding, ground):
    """The forwarding's part of each plane; a port that a plane says it cannot have is left out."""
    plans = {plan.listener.name: plan for plan in forwarding.plan.listeners}
    situation = Situation(ground, forwarding.limits)
    choices = {}
    for port in ports:
        behind = [plans.pop(one.name) for one in port.listeners]
        try:
            choice = choose_plane(port, behind, situation)
        except PlaneRefused as refusal:
            event(f"refused: {str(refusal).partition(':')[2][:60]}")
            continue
        event(f"{choice.plane.value} {port.sharing.value}")
        choices |= {one.name: choice for one in port.listeners}
    placed = tuple(plan for plan in forwarding.plan.listeners if plan.listener.name in choices)
    return divide(replace(forwarding, plan=ForwardingPlan(placed)), choices)


@given(worlds())
def test_every_target_may_take_traffic_and_nobody_is_forgotten(world):
    wanted, known, verdicts = world
    plan = compile_plan(wanted, known, verdicts)
    assert [item.listener for item in plan.listeners] == wanted
    by_id = {instance.instance_id: instance for instance in known}
    for item in plan.listeners:
        targets = [(version, target) for version in item.versions for target in version.targets]
        for version, target in targets:
            instance = by_id[target.instance_id]
            assert instance.health.takes_traffic
            assert instance.module_type is item.listener.module_type
            assert verdicts[instance.instance_id, item.listener.name].can_handle
            assert instance.version == target.version == version.version
            assert target.endpoint in instance.traffic_endpoints
            assert target.weight == instance.traffic_weight > 0
            assert version.weight > 0
        names = [target.instance_id for _, target in targets] + [one.instance_id for one in item.skipped]
        assert sorted(names) == sorted(
            instance.instance_id for instance in known if instance.module_type is item.listener.module_type
        )
        assert all(one.reason for one in item.skipped)


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_instances_does_not_matter(world, dice):
    wanted, known, verdicts = world
    shuffled = dice.sample(known, len(known))
    assert compile_plan(wanted, shuffled, verdicts) == compile_plan(wanted, known, verdicts)


@given(worlds())
def test_whole_weights_are_the_shares(world):
    for item in compile_plan(*world).listeners:
        whole = whole_weights(item)
        assert all(1 <= weight <= LARGEST_WEIGHT for weight in whole.values())
        for version in item.versions:
            instances = sum(target.weight for target in version.targets)
            for target in version.targets:
                wanted = Fraction(
                    version.weight * target.weight, instances * sum(v.weight for v in item.versions)
                )
                given_ = Fraction(whole[target.instance_id], sum(whole.values()))
                assert abs(wanted - given_) <= Fraction(len(whole), LARGEST_WEIGHT)


@given(worlds(), GROUNDS, limits(), routes())
def test_what_the_checks_accept_the_data_planes_can_build(world, ground, wanted_limits, table):
    wanted, known, verdicts = world
    ports, kept = sound(share(wanted), wanted_limits)
    plan = compile_plan([one for port in ports for one in port.listeners], known, verdicts)
    parts = carried(ports, Forwarding(plan, park(plan, known), tuple(kept), tuple(table)), ground)

    kernel = build_kernel(parts.kernel, ground)
    assert find_problems(kernel.plan) == ()
    assert set(kernel.instances.values()) <= {instance.instance_id for instance in known}
    placed = {EndpointId(f.name, b.address, b.port) for f in kernel.plan.frontends for b in f.backends}
    assert placed == kernel.instances.keys()

    material = dict.fromkeys((one.name for one in wanted), MATERIAL)
    try:
        draft = build_draft(parts.envoy, Surroundings(RESOLVED, material))
    except PlaneRefused as refusal:
        event(f"Envoy: {str(refusal)[:60]}")
    else:
        check(draft)


@given(listeners())
def test_sharing_is_a_partition(wanted):
    ports = share(wanted)
    assert sorted(one.name for port in ports for one in port.listeners) == [one.name for one in wanted]
    assert len({socket_of(port.first) for port in ports}) == len(ports)
    for port in ports:
        assert {socket_of(one) for one in port.listeners} == {socket_of(port.first)}
        assert list(port.listeners) == sorted(port.listeners, key=wanted.index)
        assert (port.sharing is Sharing.ALONE) == (len(port.listeners) == 1)
    assert list(ports) == sorted(ports, key=lambda port: wanted.index(port.first))
