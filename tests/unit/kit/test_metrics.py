from prometheus_client import generate_latest

from marchproxy.kit.grpc import CallMetrics
from marchproxy.kit.metrics import new_registry, process_usage


def test_a_registry_reports_the_process():
    text = generate_latest(new_registry()).decode()
    for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"):
        assert f"\n{name} " in text


def test_registries_are_apart():
    first, second = new_registry(), new_registry()
    CallMetrics(first)
    CallMetrics(second)  # the same names twice in one registry would raise
    assert b"grpc_server_handling_seconds" in generate_latest(first)


def test_process_usage():
    process_usage()
    cpu_percent, rss_mb = process_usage()
    assert cpu_percent >= 0
    assert 5 < rss_mb < 2000
