"""What is selected: conditions and criteria, the selection, and how it is resolved against a source."""
