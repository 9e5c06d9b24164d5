"""What a run tells, and what it is told."""
