"""Risk limits as rows of data, judged by one function."""
