"""Tasks, clock, logs, settings, gRPC and HTTP plumbing. Knows nothing of load balancing."""
