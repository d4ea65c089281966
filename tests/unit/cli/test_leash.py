import os
import signal
import subprocess
import sys

import pytest

from marchproxy.cli.leash import ParentGone, end_with

# the child counts the signals that it gets; its parent has threads, which die one after another
_CHILD = """
import os, signal, sys, time
from marchproxy.cli.leash import end_with
count = 0
def note(*_):
    global count
    count += 1
signal.signal(signal.SIGTERM, note)
end_with(os.getppid())
print("ready", flush=True)
deadline = time.monotonic() + 5
while not count and time.monotonic() < deadline:
    time.sleep(0.01)
time.sleep(0.1)
print(f"signals {count}", flush=True)
"""
_PARENT = f"""
import subprocess, sys, threading, time
for _ in range(5):
    threading.Thread(target=time.sleep, args=(60,)).start()
subprocess.Popen([sys.executable, "-c", {_CHILD!r}]).wait()
"""


def test_a_child_is_told_once_that_its_parent_was_killed():
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        parent.send_signal(signal.SIGKILL)
        assert parent.stdout.readline() == "signals 1\n"


def test_a_parent_that_is_not_above_is_gone():
    with pytest.raises(ParentGone):
        end_with(os.getpid())
