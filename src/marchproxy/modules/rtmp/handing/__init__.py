"""Handing over: a client whose stream is another worker's goes on there, with all that it has said."""
