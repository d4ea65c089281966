"""Connections of this very process, listed and ended by the kernel; ending them needs root, as CI has."""

import ipaddress
import os
import socket
import time
from contextlib import ExitStack

import pytest

from marchproxy.engines.sockets import SocketsError, close_idle, connections_to

LOCALHOST = ipaddress.ip_address("127.0.0.1")


def pairs(stack: ExitStack, count: int) -> tuple[int, list[socket.socket]]:
    """A port, and clients that are connected to it."""
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    port = server.getsockname()[1]
    clients = []
    for _ in range(count):
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        accepted, _address = server.accept()
        stack.enter_context(accepted)
        client.settimeout(5)
        clients.append(client)
    return port, clients


def test_connections_are_found_by_where_they_go():
    with ExitStack() as stack:
        port, clients = pairs(stack, 3)
        found = connections_to(LOCALHOST, port)
        assert {one.local_port for one in found} == {client.getsockname()[1] for client in clients}
        assert {one.inode for one in found} == {os.fstat(client.fileno()).st_ino for client in clients}
        assert connections_to(ipaddress.ip_address("127.0.0.2"), port) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="ending connections of others needs CAP_NET_ADMIN")
@pytest.mark.parametrize(("count", "ended"), [(0, 0), (2, 2), (9, 3)])
def test_so_many_are_ended_and_no_more(count, ended):
    with ExitStack() as stack:
        port, clients = pairs(stack, 3)
        assert close_idle(os.getpid(), [(LOCALHOST, port)], count) == ended
        assert len(connections_to(LOCALHOST, port)) == 3 - ended
        cut = 0
        for client in clients:
            client.setblocking(False)
            try:
                client.recv(1)
            except ConnectionAbortedError:
                cut += 1
            except BlockingIOError:
                pass  # it goes on
        assert cut == ended


@pytest.mark.skipif(os.geteuid() != 0, reason="ending connections of others needs CAP_NET_ADMIN")
def test_the_longest_idle_goes_first():
    with ExitStack() as stack:
        port, clients = pairs(stack, 3)
        give_up = time.monotonic() + 10
        while min(one.idle_ms for one in connections_to(LOCALHOST, port)) < 100:
            assert time.monotonic() < give_up
        for client in clients[1:]:
            client.send(b"busy")
        assert close_idle(os.getpid(), [(LOCALHOST, port)], 1) == 1
        left = {one.local_port for one in connections_to(LOCALHOST, port)}
        assert left == {client.getsockname()[1] for client in clients[1:]}


def test_connections_of_another_process_are_left_alone():
    with ExitStack() as stack:
        port, _ = pairs(stack, 1)
        assert close_idle(os.getppid(), [(LOCALHOST, port)], 9) == 0
        assert len(connections_to(LOCALHOST, port)) == 1


def test_a_process_that_is_gone_is_said():
    with pytest.raises(SocketsError, match="cannot be read"):
        close_idle(2**22 + 1, [(LOCALHOST, 1)], 1)
