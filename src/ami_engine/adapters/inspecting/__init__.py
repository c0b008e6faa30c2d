"""What is in a file: its format, and what its data are like."""
