"""Who listens on behalf of a process: real processes of this host."""

import os
import socket
import subprocess
import sys

from marchproxy.modules.ailb.load.gpus import listeners


def test_a_process_is_served_by_who_it_descends_from_until_that_ends():
    code = """
import socket, subprocess, sys
listening = socket.create_server(("127.0.0.1", 0))
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
print(child.pid, listening.getsockname()[1], flush=True)
sys.stdin.read()
child.stdin.close()
child.wait()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as engine:
        child, port = map(int, engine.stdout.readline().split())
        found = listeners.serving([child])[child]
        (listener,) = [one for one in found if one.pid == engine.pid]
        assert (listener.host, listener.port) == ("127.0.0.1", port)
        assert listeners.serving([engine.pid])[engine.pid][0] == listener
        assert listeners.ended([listener]) == frozenset()
        engine.stdin.close()
        engine.wait(20)
    assert listeners.ended([listener]) == {listener}


def test_a_process_that_is_not_there_is_served_by_nobody():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(20)
    assert listeners.serving([process.pid]) == {process.pid: ()}


def test_a_process_may_listen_for_itself_at_several_places():
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = {each.getsockname()[1] for each in (one, other)}
        found = {listener.port for listener in listeners.serving([os.getpid()])[os.getpid()]}
        assert ports <= found


def test_loopback_is_of_this_host():
    assert "127.0.0.1" in listeners.own_addresses()
