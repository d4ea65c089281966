"""MarchProxy: one load balancer for TCP, HTTP, databases, LLM inference and live video."""

import os

# Whoever forks here goes on to exec. gRPC's fork handlers, on by default, now and then crash the child before that
# (SIGSEGV in its event engine's thread: an `nft` or `ip` that never ran), and log a line for most forks.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

__version__ = "0.1.0"
