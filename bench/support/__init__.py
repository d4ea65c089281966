"""What the benchmarks share: processes, free ports, numbers, the report."""
