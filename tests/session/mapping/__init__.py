"""Functions mapped over a selection."""
