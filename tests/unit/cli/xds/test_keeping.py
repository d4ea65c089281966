from pathlib import Path

import pytest

from marchproxy.cli.xds.catalogue import Catalogue
from marchproxy.cli.xds.cohorts import Cohorts
from marchproxy.cli.xds.keeping import Keeper, folder_of, settings_beside_faults
from marchproxy.cli.xds.settings import NodeSettings, XdsSettings
from marchproxy.engines.envoy.xds import Identity
from marchproxy.model.listener import Listener
from marchproxy.model.state import DesiredState

NODES = (NodeSettings(id="edge-*", listeners=("east",)), NodeSettings())
SETTINGS = XdsSettings.model_validate({"grpc": "127.0.0.1:1", "push_interval": "2s", "nodes": NODES})
CATALOGUE = Catalogue(
    DesiredState(listeners=(Listener("east", "127.0.0.1", 81), Listener("west", "127.0.0.1", 82))), NODES
)
SNAPSHOTS = {cohort: CATALOGUE.snapshot_of(cohort) for cohort in CATALOGUE.cohorts.all()}


def test_what_is_kept_is_what_is_loaded(tmp_path):
    keeper = Keeper(tmp_path / "new")
    assert keeper.load() is None
    keeper.keep(SETTINGS, SNAPSHOTS)
    kept = keeper.load()
    assert kept is not None
    assert kept.settings == SETTINGS
    assert kept.snapshots == SNAPSHOTS
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "new").iterdir()} == {0}


def test_cohorts_that_are_gone_are_forgotten(tmp_path):
    keeper = Keeper(tmp_path)
    keeper.keep(SETTINGS, SNAPSHOTS)
    fewer = SETTINGS.model_copy(update={"nodes": NODES[:1]})
    left = {cohort: SNAPSHOTS[cohort] for cohort in Cohorts(NODES[:1]).all()}
    keeper.keep(fewer, left)
    kept = keeper.load()
    assert kept is not None
    assert kept.snapshots == left
    assert len(list(tmp_path.glob("*.bin"))) == len(left)


@pytest.mark.parametrize("spoil", ["settings.json", "*.bin"])
def test_what_cannot_be_used_is_nothing(tmp_path, spoil):
    keeper = Keeper(tmp_path)
    keeper.keep(SETTINGS, SNAPSHOTS)
    for path in tmp_path.glob(spoil):
        path.write_bytes(b"\x00garbage")
    assert keeper.load() is None


def test_a_disk_that_refuses_is_told_of_and_no_more(tmp_path):
    (tmp_path / "file").write_text("in the way")
    Keeper(tmp_path / "file").keep(SETTINGS, SNAPSHOTS)
    assert (tmp_path / "file").read_text() == "in the way"


def test_where_it_is_kept(tmp_path):
    file = tmp_path / "a.yaml"
    named = XdsSettings(state_dir=Path("/kept"))
    variable = {"MARCHPROXY_XDS__STATE_DIR": "/told"}
    assert folder_of(file, named, variable) == Path("/kept")
    assert folder_of(file, None, variable) == Path("/told")
    usual = folder_of(file, XdsSettings(), {})
    assert usual == folder_of(file, None, {})
    assert usual != folder_of(tmp_path / "b.yaml", None, {})


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("xds: {grpc: '127.0.0.1:5'}\nroutes: [{id: r, backends: [nowhere]}]", 5),
        ("routes: [", None),
        ("xds: {grpc: nonsense}", None),
    ],
)
def test_settings_of_a_file_with_faults(tmp_path, text, port):
    file = tmp_path / "xds.yaml"
    file.write_text(text)
    found = settings_beside_faults(file, {})
    assert (found.grpc.port if found else None) == port


def test_cohorts_are_known_by_their_entry_not_by_its_place():
    one, two = Cohorts(NODES), Cohorts(NODES[::-1])
    assert set(one.all()) == set(two.all())
    assert one.of(Identity("edge-1")) != one.of(Identity("edge-1", user_agent="gRPC Go"))
    assert one.of(Identity("edge-1")) != two.of(Identity("edge-1"))
    assert Cohorts(NODES[:1]).of(Identity("other")) is None
