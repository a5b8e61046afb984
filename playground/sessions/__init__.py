"""Sessions: what a visitor asked, kept for them, and links that show it to others."""
