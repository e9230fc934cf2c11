"""Calls to experts: channels, streams, and how long a silent one is waited for."""
