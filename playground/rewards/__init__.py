"""The reward builder: compose a reward, see what it gives real answers, take it away."""
