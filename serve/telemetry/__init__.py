"""What is measured and reported about each request: metrics, log, traces, traffic."""
