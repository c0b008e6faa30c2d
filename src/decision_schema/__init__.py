"""Contracts: the values that cross every boundary of the engine, and nothing else."""
