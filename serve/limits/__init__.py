"""How much a key may use: requests, tokens and USD, counted here, across workers or in Redis."""
