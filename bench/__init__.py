"""Benchmarks: they print tables and ratios and assert nothing."""
