"""Runs done again: the look-ahead check."""
