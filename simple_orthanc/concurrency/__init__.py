"""Threads and helper processes."""
