"""Documents that a request brings are compared with its question, so that an expert is shown those that matter."""
