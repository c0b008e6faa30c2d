"""Where a proposal comes from: a given model, the private hook, or the reference model."""
