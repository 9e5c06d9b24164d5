"""The terminal app. The only place that imports textual."""
