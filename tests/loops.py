"""Loops for tests of sockets: a folder whose `conftest` imports this runs them as workers run, on uvloop, which begins to read
earlier than asyncio's own loop."""

import uvloop


def pytest_asyncio_loop_factories():
    """As pytest-asyncio wants it."""
    return {"uvloop": uvloop.new_event_loop}
