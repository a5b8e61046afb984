"""Metrics, on well-kept libraries where one agrees with the field's definition."""
