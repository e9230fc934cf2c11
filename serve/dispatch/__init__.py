"""Carrying a decision out: attempts, retries, fallbacks, hedges, circuit breakers, wake-ups, health."""
