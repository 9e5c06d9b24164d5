"""Where the events come from that the screen shows."""
