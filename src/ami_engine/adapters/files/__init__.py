"""Rows of text from files: unpacked, cut into lines, and what their names tell."""
