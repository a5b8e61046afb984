"""Who may use how much. So far: a polite rate limit for callers without an account."""
