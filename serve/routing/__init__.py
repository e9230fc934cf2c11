"""Between a request and the router: the query, the experts' states, canaries, preferences, reloads."""
