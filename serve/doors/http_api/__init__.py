"""The HTTP door: its listener, its endpoints, the OpenAPI document and the console."""
