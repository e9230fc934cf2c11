"""Measurements of a running moegate by its clients' clocks. All of it speaks HTTP or gRPC; none imports the product."""
