"""Values that a call needs and nobody said: found without a model, and asked for in place of the call."""
