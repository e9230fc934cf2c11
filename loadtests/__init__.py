"""Measurements of a running moegate, by its clients' clocks. Everything here speaks HTTP or gRPC; nothing is imported."""
