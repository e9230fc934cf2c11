"""How good decisions are, how fast, and what moves them."""
