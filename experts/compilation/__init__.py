"""From a base and an adapter to the file that an engine loads."""
