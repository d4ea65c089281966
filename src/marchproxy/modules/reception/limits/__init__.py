"""Limits that all workers of an instance keep together."""
