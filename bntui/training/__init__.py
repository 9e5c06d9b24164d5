"""The training pair: data, models, the step, the session. The only place that imports torch."""
