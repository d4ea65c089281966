from pathlib import Path

from marchproxy.cli.file import FileDocument
from marchproxy.cli.file.schema import ManagerSection
from marchproxy.cli.up.parts import Folders, environment, open_ports, parts_of
from marchproxy.kit.settings import HostPort
from marchproxy.modules.alb.settings import AlbSettings
from marchproxy.modules.dblb.settings import DblbSettings
from marchproxy.nlb.settings import NlbSettings

FOLDERS = Folders(Path("/state"))
DOCUMENT = FileDocument(
    nlb=NlbSettings(metrics=HostPort("0.0.0.0", 9091), drain_seconds=3),
    modules=(
        AlbSettings(id="a"),
        AlbSettings(id="b", state_dir=Path("/own"), health=HostPort("127.0.0.1", 0)),
    ),
)


def test_the_nlb_comes_first_and_every_part_reads_the_running_copy():
    nlb, first, second = parts_of(DOCUMENT, FOLDERS)
    assert nlb.command[1:] == ("-m", "marchproxy", "nlb", "--config", "/state/running.yaml")
    assert nlb.health == HostPort("127.0.0.1", 9091)  # nobody dials 0.0.0.0
    assert nlb.stop_seconds > 3
    assert first.command[-2:] == ("--id", "a")
    assert second.log == Path("/state/logs/b.log")


def test_each_module_runs_by_the_command_of_its_type():
    databases = DblbSettings(id="d", type="dblb", postgres=HostPort("127.0.0.1", 6432), drain_seconds=9)
    (part,) = parts_of(FileDocument(modules=(databases,)), FOLDERS)
    assert (part.kind, part.command[3:4]) == ("dblb", ("dblb",))
    assert part.stop_seconds > 9


def test_the_manager_comes_last_and_is_asked_over_http():
    manager = ManagerSection(metrics=HostPort("0.0.0.0", 9096), drain_seconds=4)
    *_, part = parts_of(DOCUMENT.model_copy(update={"manager": manager}), FOLDERS)
    assert (part.name, part.kind, part.grpc) == ("manager-1", "manager", None)
    assert part.command[3:] == ("manager", "--config", "/state/running.yaml")
    assert (part.health, part.stop_seconds > 4) == (HostPort("127.0.0.1", 9096), True)
    alone = FileDocument(manager=ManagerSection(http=HostPort("127.0.0.1", 0)))
    assert dict(open_ports(alone)) == {"MARCHPROXY_MANAGER__HTTP": HostPort("127.0.0.1", 0)}
    assert environment(alone, FOLDERS, {}) == {"MARCHPROXY_MANAGER__STATE_DIR": "/state"}


def test_an_alb_that_the_manager_serves_is_not_waited_for_by_it():
    served = AlbSettings.model_validate({"id": "c", "xds_server": "127.0.0.1:18000"})
    modules = (AlbSettings(id="a"), served)
    for section, environ, after in (
        ({"xds": {}}, {}, [False, True]),
        ({"xds": {}}, {"XDS_SERVER": "127.0.0.1:18000"}, [True, True]),
        ({}, {"XDS_SERVER": "127.0.0.1:18000"}, [False, False]),
    ):
        document = FileDocument(modules=modules, manager=ManagerSection.model_validate(section))
        *parts, manager = parts_of(document, FOLDERS, environ)
        assert [part.after_manager for part in parts] == after
        assert not manager.after_manager


def test_state_goes_below_ours_unless_the_file_says_otherwise():
    environ = environment(DOCUMENT, FOLDERS, {"PATH": "/bin", "MODULE_ID": "x", "NLB_ENDPOINTS": "y:1"})
    assert environ == {
        "PATH": "/bin",
        "MARCHPROXY_NLB__STATE_DIR": "/state",
        "MARCHPROXY_MODULES__0__STATE_DIR": "/state",
    }


def test_only_addresses_that_others_must_know_are_chosen_here():
    assert dict(open_ports(DOCUMENT)) == {"MARCHPROXY_MODULES__1__HEALTH": HostPort("127.0.0.1", 0)}
