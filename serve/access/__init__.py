"""Who may come in: API keys, TLS, and what may listen without either."""
