from pathlib import Path

import pytest

from marchproxy.cli.down.remains import Ground, Kind, Remain, Seen, judge

STATE = Path("/s")
GROUND = Ground(STATE / "running.yaml", (STATE / "nlb-1", STATE / "alb-1", STATE / "alb-1.2"))
PYTHON = ("/venv/bin/python", "-m", "marchproxy")
PART = (*PYTHON, "alb", "--config", "/s/running.yaml", "--id", "alb-1", "--leash")
DATABASES = ("/venv/bin/python", "-m", "marchproxy.modules.dblb.worker")
STREAMS = ("/venv/bin/python", "-m", "marchproxy.modules.rtmp")
AI = ("/venv/bin/python", "-m", "marchproxy.modules.ailb")
WORKER = ("/venv/bin/python", "-m", "marchproxy.nlb.dataplane.relay.worker")


@pytest.mark.parametrize(
    ("command", "remain"),
    [
        ((*PART, "7"), (Kind.MODULE, "alb-1", False)),
        (
            (*PART, "6"),
            (Kind.MODULE, "alb-1", True),
        ),  # its parent was 6, which is gone: its leash has told it
        ((*PYTHON, "nlb", "--config", "/s/running.yaml", "--leash", "7"), (Kind.NLB, "nlb", False)),
        (
            (*PYTHON, "manager", "--config", "/s/running.yaml", "--leash", "7"),
            (Kind.MANAGER, "manager", False),
        ),
        (("envoy", "--admin-address-path", "/s/nlb-1/envoy/envoy.admin"), (Kind.ENVOY, "nlb-1", False)),
        (("envoy", "--admin-address-path", "/s/alb-1.2/envoy.admin"), (Kind.ENVOY, "alb-1.2", False)),
        ((*WORKER, "--socket", "/s/nlb-1/relay/0.sock"), (Kind.RELAY, "nlb-1", False)),
        (
            (*DATABASES, "--socket", "/s/alb-1/workers/0.sock", "--index", "0"),
            (Kind.DATABASES, "alb-1", False),
        ),
        (
            (*STREAMS[:2], f"{STREAMS[2]}.worker", "--socket", "/s/alb-1/workers/0.sock"),
            (Kind.STREAMS, "alb-1", False),
        ),
        (
            (*STREAMS[:2], f"{STREAMS[2]}.playback", "--socket", "/s/alb-1/playback/0.sock"),
            (Kind.PLAYBACK, "alb-1", False),
        ),
        ((*AI[:2], f"{AI[2]}.worker", "--socket", "/s/alb-1/decider/0.sock"), (Kind.DECIDER, "alb-1", False)),
        ((*AI[:2], f"{AI[2]}.relay", "--socket", "/s/alb-1/relays/1.sock"), (Kind.AI_RELAY, "alb-1", False)),
        ((*DATABASES, "--socket", "/t/alb-1/workers/0.sock", "--index", "0"), None),
        # another file's, or nobody's
        ((*PYTHON, "nlb", "--config", "/t/running.yaml", "--leash", "7"), None),
        ((*PYTHON, "nlb", "--config", "/s/running.yaml"), None),
        (("envoy", "--admin-address-path", "/s/nlb-10/envoy/envoy.admin"), None),
        (("envoy", "--admin-address-path"), None),
        (("socat", "--socket", "/s/nlb-1/relay/0.sock"), None),
        (("tail", "-f", "/s/running.yaml"), None),
        ((), None),
    ],
)
def test_judge_by_command_line(command, remain):
    seen = Seen(pid=40, parent=7, command=command)
    assert judge(seen, GROUND) == (Remain(40, *remain) if remain else None)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ((*PYTHON, "nlb", "-c", "x.yaml"), Kind.NLB),
        (("marchproxy", "alb", "-c", "x.yaml"), Kind.MODULE),
        ((*PYTHON, "manager", "-c", "x.yaml"), Kind.MANAGER),
    ],
)
def test_a_service_that_a_record_names(command, kind):
    seen = Seen(pid=40, parent=7, command=command)
    assert judge(seen, GROUND) is None
    assert judge(seen, GROUND, recorded="one") == Remain(40, kind, "one")


def test_the_manager_ends_first_modules_before_the_nlb_and_who_envoy_reports_to_after_it():
    workers = ["RELAY", "DATABASES", "STREAMS", "PLAYBACK", "AI_RELAY"]
    assert [kind.name for kind in Kind] == ["UP", "MANAGER", "MODULE", "NLB", *workers, "ENVOY", "DECIDER"]
