"""Who the experts are: the catalogue, its prices and the limits of its engines."""
