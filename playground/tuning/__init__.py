"""The tuning console: runs are started, followed step by step, and taken away."""
