"""JSON Schema, reduced to what decoding can hold, as a grammar and as a check."""
