"""Where events end up on disk: the journal, the results, the run folder."""
