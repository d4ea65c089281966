"""Policy: who may publish, play and watch streams, and how much of it."""
