import json
from pathlib import Path

import pytest

from marchproxy.engines.envoy.stats import EnvoyStats, MalformedStats, parse_stats

GOLDEN = Path(__file__).parent / "golden"
REQUEST_TIME = "http.http_l1.downstream_rq_time"


def _answer(cumulative: float | None, interval: float | None) -> str:
    ranks = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100]
    values = [{"cumulative": cumulative, "interval": interval}] * len(ranks)
    block = {"supported_quantiles": ranks, "computed_quantiles": [{"name": "h", "values": values}]}
    return json.dumps({"stats": [{"name": "version", "value": "abc"}, {"histograms": block}]})


@pytest.fixture(params=["stats_summary.json", "stats_detailed.json"])
def stats(request: pytest.FixtureRequest) -> EnvoyStats:
    return parse_stats((GOLDEN / request.param).read_bytes())


def test_counters_and_gauges(stats):
    assert stats.counter("http.http_l1.downstream_rq_2xx") == 40
    assert stats.gauge("server.days_until_first_cert_expiring") == 4294967295
    assert stats.counter("http.nobody.downstream_rq_2xx") == 0
    assert dict(stats.under("http.http_l1.")) == {"downstream_cx_active": 0, "downstream_rq_2xx": 40}


def test_quantiles_of_both_windows(stats):
    for interval in (False, True):
        times = stats.histogram(REQUEST_TIME, interval=interval)
        assert times is not None
        assert (times.minimum, times.p50, times.p95, times.maximum) == (0, 0, 0, 4.05)
        assert times.p99 <= times.p99_5 <= times.p99_9 <= times.maximum
    assert stats.histogram("no.such.histogram") is None
    assert [name for name, _ in stats.histograms_under("http.http_l1.")] == ["downstream_rq_time"]


def test_samples_and_mean_come_with_the_buckets():
    detailed = parse_stats((GOLDEN / "stats_detailed.json").read_bytes()).histogram(REQUEST_TIME)
    summary = parse_stats((GOLDEN / "stats_summary.json").read_bytes()).histogram(REQUEST_TIME)
    assert detailed is not None
    assert detailed.samples == 80
    assert detailed.mean == pytest.approx(4.05 / 80)  # 79 in the zero bucket, one between 4 and 4.1 ms
    assert summary is not None
    assert (summary.samples, summary.mean) == (None, None)


@pytest.mark.parametrize(
    ("cumulative", "interval", "known"),
    [(None, None, (False, False)), (3.0, None, (True, False)), (3.0, 0.0, (True, True))],
)
def test_null_is_no_sample(cumulative, interval, known):
    stats = parse_stats(_answer(cumulative, interval))
    assert (stats.histogram("h") is not None, stats.histogram("h", interval=True) is not None) == known
    assert stats.texts == {"version": "abc"}


def test_no_histogram_matched():
    assert parse_stats('{"stats":[]}') == EnvoyStats()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "upstream connect error",
        "[]",
        '{"stats": 3}',
        '{"stats": [{"name": "a"}]}',
        '{"stats": [{"name": "a", "value": null}]}',
        '{"stats": [{"histograms": {}}]}',
        '{"stats": [{"histograms": {"supported_quantiles": [50], "computed_quantiles": [{"name": "h", "values": []}]}}]}',
        _answer(1.0, 1.0).replace("99.9", "98"),  # a quantile is missing
        b"\xff\xfe",
    ],
)
def test_anything_else_is_malformed(text):
    with pytest.raises(MalformedStats, match=r"1\.40"):
        parse_stats(text)
