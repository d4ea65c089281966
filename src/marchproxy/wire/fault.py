"""Fault: bytes that break the protocol."""


class ProtocolFault(Exception):
    """The peer does not speak the protocol, or asks for more than is allowed. The connection cannot go on."""
