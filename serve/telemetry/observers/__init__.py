"""Who is told what happens to each request: one observer a module, listed in `serve.app`."""
