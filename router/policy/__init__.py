"""From probabilities, prices and load to a decision."""
