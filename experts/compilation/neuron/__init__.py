"""Compilation for Inferentia2 and Trainium."""
