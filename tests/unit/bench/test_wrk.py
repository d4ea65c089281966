import pytest

from bench.support.wrk import Run, parse

PRINTED = """Running 1m test @ http://10.78.2.1:7002/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   164.73us  142.17us   3.05ms   89.64%
    Req/Sec    99.26k     3.41k  102.66k    83.33%
  Latency Distribution
     50%  139.00us
     75%  204.00us
     90%  277.00us
     99%    1.20ms
  49382 requests in 0.50s, 7.06MB read
Requests/sec:  98640.11
Transfer/sec:     14.11MB
"""


def test_what_wrk_prints_is_read_in_milliseconds():
    assert parse(PRINTED) == Run(49382, 98640.11, pytest.approx(0.139), pytest.approx(1.2))


@pytest.mark.parametrize(
    "more", ["  Socket errors: connect 0, read 3, write 0, timeout 0\n", "  Non-2xx: 1\n"]
)
def test_a_failed_request_is_no_measurement(more):
    with pytest.raises(RuntimeError, match="failed"):
        parse(PRINTED + more)


def test_anything_else_is_told_apart():
    with pytest.raises(RuntimeError, match="something else"):
        parse("unable to connect to 10.78.2.1:7002 Connection refused\n")
