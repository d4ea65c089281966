from envoy.extensions.access_loggers.file.v3 import file_pb2

from marchproxy.engines.envoy.access_log import any_of, json_lines, share, slower_than, status_from


def test_a_line_has_the_fields_and_leaves_out_empty_ones():
    log = json_lines("/var/log/x", {"route": "%ROUTE_NAME%"}, share(100, "k"))
    file = file_pb2.FileAccessLog()
    assert log.typed_config.Unpack(file)
    assert (file.path, file.log_format.omit_empty_values) == ("/var/log/x", True)
    assert dict(file.log_format.json_format) == {"route": "%ROUTE_NAME%"}


def test_a_share_is_exact_to_a_ten_thousandth():
    drawn = share(2.5, "k").runtime_filter
    assert (drawn.percent_sampled.numerator, drawn.runtime_key) == (25_000, "k")
    assert drawn.use_independent_randomness


def test_any_of_several_and_of_one():
    bad, slow = status_from(500, "s"), slower_than(1.5, "d")
    assert any_of(bad) == bad
    both = any_of(bad, slow).or_filter.filters
    assert [part.WhichOneof("filter_specifier") for part in both] == ["status_code_filter", "duration_filter"]
    assert bad.status_code_filter.comparison.value.default_value == 500
    assert slow.duration_filter.comparison.value.default_value == 1500
