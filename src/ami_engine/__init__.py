"""The runtime: features, model, plan, guards, execution, trace, and the loop around them."""
