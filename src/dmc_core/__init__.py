"""Decision modulation: limits, guards and the one function that judges them."""
