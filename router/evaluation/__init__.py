"""How good decisions are, how long they take, and what changes them."""
