"""The gate that asks the limits that all workers of an instance keep together, and the firewall."""
