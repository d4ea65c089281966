"""Desired state and all else that the manager keeps: one interface; SQLite, PostgreSQL."""
