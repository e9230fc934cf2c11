"""Called rules: another service judges, over HTTP, within a deadline."""
