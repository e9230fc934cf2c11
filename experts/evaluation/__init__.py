"""How good an expert's answers are."""
