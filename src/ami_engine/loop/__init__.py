"""One step, and the driver that feeds it."""
