"""Limits that all workers of an instance keep together, and the gate that asks them and the firewall."""
