"""What work costs, and the ledger that adds it up."""
