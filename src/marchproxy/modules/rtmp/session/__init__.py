"""One connection: from its handshake until it is known what the client wants, and what a role needs of it afterwards."""
