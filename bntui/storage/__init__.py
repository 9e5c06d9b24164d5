"""The run folder, and what strangers wrote in it."""
