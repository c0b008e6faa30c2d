"""The state and the scalar functions that change it: arithmetic only, no clock, no chance of its own."""
