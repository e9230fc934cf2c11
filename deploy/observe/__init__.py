"""Dashboards and alert rules as code, and the check that every query of theirs returns data."""
