"""What a tracing stack will cost and what its sampling will hide."""
