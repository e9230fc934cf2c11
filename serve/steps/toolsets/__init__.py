"""Sets of tools that the gateway keeps, so that callers name them instead of sending them."""
