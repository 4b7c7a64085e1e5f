"""Tests of what Tab offers."""
