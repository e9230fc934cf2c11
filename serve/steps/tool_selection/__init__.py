"""Keeps, of many offered tools, the few that a request may need."""
