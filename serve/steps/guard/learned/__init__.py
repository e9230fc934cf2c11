"""Learned rules: they weigh whole texts by what the router reads of them anyway."""
