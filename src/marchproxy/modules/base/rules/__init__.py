"""Pure choices of a module: how a mutation changes the desired state, and when it is refused."""
