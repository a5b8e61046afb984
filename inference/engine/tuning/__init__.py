"""Tuning: adapters, samples with their probabilities, objectives, and the examples they learn from."""
