"""A simulated market, as a source, and a broker that fills against what a source shows."""
