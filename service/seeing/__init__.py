"""What an operator sees: metrics, traces, the log without secrets, and whether all is ready."""
