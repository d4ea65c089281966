import subprocess
import sys

from marchproxy.engines.envoy.consumption import Consumption, Usage

BUSY = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass\nprint(flush=True)\ninput()"


def test_what_ended_is_not_forgotten_and_nothing_goes_back():
    consumption = Consumption()
    children = [
        subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    try:
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        one = consumption.read([children[0].pid])
        both = consumption.read([child.pid for child in children])
        assert one.cpu_seconds >= 0.1
        assert both.cpu_seconds >= one.cpu_seconds + 0.1
        assert both.memory_bytes > one.memory_bytes > 0
    finally:
        for child in children:
            child.communicate(b"\n")
    gone = consumption.read([])
    assert (gone.memory_bytes, gone.cpu_percent) == (0, 0.0)
    assert gone.cpu_seconds >= both.cpu_seconds
    assert consumption.read([children[0].pid]).memory_bytes == 0  # a pid that is nobody's


def test_nothing_ran_yet():
    assert Consumption().read([]) == Usage()
