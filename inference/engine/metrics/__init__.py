"""What rewards and leaderboards both measure with: tokens, caption statistics, boxes, counts.

No Django and no torch: the web process and `python -m leaderboard.scoring` import it.
"""
