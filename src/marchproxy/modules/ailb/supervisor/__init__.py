"""Supervisor: the decider and the relays of an instance, as the AILB sees them."""
