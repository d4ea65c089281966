"""Looking at a running system: `marchproxy get` and `marchproxy explain`."""
