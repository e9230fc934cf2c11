"""Requests and answers, kept for the flywheel: opt-in, redacted, written off the request's path."""
