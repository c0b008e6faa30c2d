"""The runtime: features, model, plan, guards, execution, trace, and the loop around them."""

__version__ = "0.1.0"
