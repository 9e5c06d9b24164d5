"""What the terminal can do, and what it does to us."""
