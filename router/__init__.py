"""The learned router: reads a request's structure and words, ranks the experts. Imports nothing else of moegate."""
