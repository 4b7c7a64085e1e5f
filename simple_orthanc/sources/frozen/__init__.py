"""A frozen cohort in an archive, as a source: nothing else is there, and nothing that has changed is read."""
