"""Retrieval: a request names collections, and their best passages become documents that the answer cites."""
