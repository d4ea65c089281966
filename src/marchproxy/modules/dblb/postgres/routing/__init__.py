"""Routing: which server of a pool is the primary, which replicas are recent enough, and what may be read from them."""
