"""Side-by-side benchmarks: `python -m bench.NAME [--quick]`. docs/benchmarks.md says how to read them."""
