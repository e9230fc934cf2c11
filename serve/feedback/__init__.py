"""Ratings of answers, stored."""
