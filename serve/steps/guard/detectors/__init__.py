"""What rules can look for, one module a kind."""
