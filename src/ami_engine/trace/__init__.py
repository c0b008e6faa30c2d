"""Writes, chains and verifies packets; knows no step."""
