"""What every module whose data path is an HTTP Envoy has: its resources, its programming, its settings, its engine."""
