"""What a run tells, and what it obeys."""
