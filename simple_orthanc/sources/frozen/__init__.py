"""A frozen cohort in an archive, as a source that holds nothing else and reads nothing that has changed."""
