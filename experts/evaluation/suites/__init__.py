"""The tasks that experts are measured on: one module a suite, with the scorers and data formats they share."""
