"""What a peer can do wrong."""


class ProtocolFault(Exception):
    """A peer broke the protocol, or went beyond a limit."""
