"""Benchmarks: `make bench`. Speed is shown here, never by timed tests."""
