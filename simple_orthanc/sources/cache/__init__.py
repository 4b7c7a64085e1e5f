"""Files of servers that were read once, kept on disk."""
