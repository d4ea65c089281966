"""Recycling: what a client has left on a link is cleared away, one step after the other, before another one has it.

A transaction is rolled back where the server says that there is one: anywhere else ROLLBACK is a warning in its log.
"""

from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.flow import IDLE, Owed

_ROLLBACK = encode.query("ROLLBACK")


def clear(link: Link) -> bool:
    """Go on with a link whose server owes nothing; whether all is done. If not, it is to be called again after the answer."""
    flow = link.state.flow
    if flow.open:
        flow.sent(Owed.SYNC)
        link.transport.write(encode.SYNC)
        return False  # there may have been a BEGIN in what was open
    if flow.status != IDLE:
        link.ask_silently(_ROLLBACK)
    if link.recycling:
        link.ask_silently(link.recycling)
        link.recycling = b""
    if flow.owed:
        return False
    link.recycling = None
    return True
