"""Who may enter now: permits, the fair queue before them, and the drain at the end."""
