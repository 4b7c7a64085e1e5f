"""De-identified copies of what is selected."""
