"""What arrives on a server, and calls for it."""
