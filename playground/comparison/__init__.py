"""One question to two, three or four models, side by side."""
