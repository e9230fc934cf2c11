"""What is measured and told of each request: metrics, log, traces, traffic."""
