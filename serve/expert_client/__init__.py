"""Calls to experts: channels, streams, and how long a silent stream is waited for."""
