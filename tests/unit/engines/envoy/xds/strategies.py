"""Random consistent snapshots, small enough to collide often."""

from hypothesis import strategies as st

from tests.unit.engines.envoy.xds.envoy_model import checked, pool, site

names = st.sampled_from("abc")
versions = st.integers(1, 3)


@st.composite
def snapshots(draw):
    clusters = draw(st.dictionaries(names, st.tuples(versions, versions)))
    sites = draw(st.dictionaries(names, st.tuples(versions, versions, st.sets(names))))
    resources = [r for name, (version, hosts) in clusters.items() for r in pool(name, version, hosts)]
    for name, (version, listener, chosen) in sites.items():
        used = sorted(chosen & clusters.keys())
        # the content makes the version, as it does for real resources
        resources += site(name, f"{version}-{''.join(used)}", *used, listener=listener)
    return checked(*resources)
