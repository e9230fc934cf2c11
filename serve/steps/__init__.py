"""What happens to a request besides routing and dispatch: a list of steps, built once in `serve.app`."""
