import pytest

from marchproxy.modules.alb.settings import AlbSettings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"xds_tls": {"ca": "/ca.pem"}}, "xds_tls is for xds_server"),
        (
            {"xds_server": "m:1", "tls_traffic": "127.0.0.1:443", "https": {"self_signed": ["a.example"]}},
            "serves plain HTTP",
        ),
        ({"xds_server": "m"}, "host:port"),
    ],
)
def test_settings_that_do_not_fit(settings, words):
    with pytest.raises(ValueError, match=words):
        AlbSettings.model_validate({"id": "a", **settings})


@pytest.mark.parametrize("given", ["m:1", ["m:1"]])
def test_one_server_or_a_list(given):
    assert list(map(str, AlbSettings.model_validate({"id": "a", "xds_server": given}).xds_server)) == ["m:1"]
