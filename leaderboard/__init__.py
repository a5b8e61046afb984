"""Measuring models: the metrics that benchmarks and reports share."""
