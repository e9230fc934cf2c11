"""Measurements of a running moegate by its clients' clocks, over HTTP or gRPC.

`h2_clients`, `metering` and `strict_schemas` measure parts from inside, and import those parts. Others import only what
starts a gateway or what they compare with. Each module says in its first lines what it measures.
"""
