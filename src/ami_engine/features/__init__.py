"""The catalogue of features and the stateless door to their formulas."""
