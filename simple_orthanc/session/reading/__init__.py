"""What is selected, read as headers and volumes."""
