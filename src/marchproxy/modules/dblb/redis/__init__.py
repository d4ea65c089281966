"""Redis: what Envoy's redis_proxy lacks. Many clients on few connections, and one of its own for who needs it."""
