"""The observers of requests: one a module, listed in `serve.app`."""
