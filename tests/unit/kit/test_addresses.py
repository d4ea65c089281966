import pytest

from marchproxy.kit.addresses import ip_address


def test_an_address_is_parsed_once():
    assert str(ip_address("FE80::0:1")) == "fe80::1"
    assert ip_address("10.0.0.1") is ip_address("10.0.0.1")


@pytest.mark.parametrize("text", ["", "localhost", "10.0.0.256"])
def test_what_is_none_raises_each_time(text):
    for _ in range(2):
        with pytest.raises(ValueError, match="does not appear to be"):
            ip_address(text)
