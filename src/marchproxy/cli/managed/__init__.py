"""The commands that ask a manager over its REST API, on this machine or elsewhere. What they decide and write is pure."""
