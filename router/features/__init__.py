"""What the router reads in a request, as numbers."""
