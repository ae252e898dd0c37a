"""Benchmarks: `make bench` runs them all, or some by name: `make bench ARGS="poststratify"`."""
