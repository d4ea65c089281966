import asyncio
import socket

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.listening import BindError, PortInUse, check_free, choose_port, unix_path, until_free
from marchproxy.kit.settings import HostPort


def test_choose_port_gives_one_that_is_free():
    chosen = choose_port(HostPort("127.0.0.1", 0))
    assert chosen.port > 0
    check_free(chosen, "grpc")


def test_choose_port_leaves_a_given_port():
    assert choose_port(HostPort("192.0.2.1", 7)) == HostPort("192.0.2.1", 7)
    with pytest.raises(BindError, match=r"192\.0\.2\.1:0"):
        choose_port(HostPort("192.0.2.1", 0))


def test_check_free_sees_a_listener_and_no_longer_when_it_is_gone():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = HostPort("127.0.0.1", listener.getsockname()[1])
        with pytest.raises(PortInUse, match=r"alb\.grpc: cannot listen on"):
            check_free(address, "alb.grpc")
    check_free(address, "alb.grpc")


async def test_a_port_may_become_free_meanwhile():
    clock = VirtualClock()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = HostPort("127.0.0.1", listener.getsockname()[1])
        with pytest.raises(PortInUse):
            await until_free(address, "relay", seconds=0, clock=clock)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(until_free(address, "relay", seconds=2, clock=clock))
            await clock.elapse(1)
            assert not waiting.done()
            listener.close()
            await clock.elapse(1)


@pytest.mark.parametrize("address", ["127.0.0.1:80", "unix:", ""])
def test_unix_path_refuses(address):
    with pytest.raises(ValueError, match="neither"):
        unix_path(address)
