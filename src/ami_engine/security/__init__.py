"""Keep secrets out of traces, logs and reports."""
