"""Arguments to one process; output for people and --json for programs."""
