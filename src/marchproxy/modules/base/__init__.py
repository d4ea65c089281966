"""What every module shares: ModuleService, registration, heartbeats, metrics, state."""
