"""Anthropic's wire forms: Messages and its count of tokens."""
