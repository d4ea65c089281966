"""Envoy: its process, its admin API and the resources it is programmed with."""
