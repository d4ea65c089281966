"""Settings of the NLB: defaults, and mistakes with their place."""

from pathlib import Path

import pytest

from marchproxy.kit.files import default_state_dir
from marchproxy.kit.settings import SettingsError, load
from marchproxy.nlb.settings import NlbSettings


def test_an_empty_document_is_a_whole_nlb():
    settings = load(NlbSettings, "", environ={})
    assert (str(settings.grpc), str(settings.metrics)) == ("127.0.0.1:50050", "127.0.0.1:9091")
    assert str(settings.envoy.admin) == "127.0.0.1:9902"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("heartbeat_interval: 0", "greater than 0"),
        ("missed_unhealthy: 6", "must be more than missed_unhealthy"),
        ("id: a/b", "line 1: id"),
        ("envoy: {concurrency: 0}", "envoy.concurrency"),
        ("grcp: 127.0.0.1:1", 'did you mean "grpc"?'),
        ("log_level: loud", "log_level"),
    ],
)
def test_mistakes(text, words):
    with pytest.raises(SettingsError) as error:
        load(NlbSettings, text, environ={})
    assert words in str(error.value)


def test_where_state_is_kept():
    assert NlbSettings(state_dir=Path("/x")).directory() == Path("/x/nlb-1")
    assert NlbSettings().directory() == default_state_dir() / "nlb-1"
