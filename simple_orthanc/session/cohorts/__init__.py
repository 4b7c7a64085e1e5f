"""Frozen cohorts: made from sessions, kept in files, opened on archives, and compared with them."""
