"""What happens to a request beside routing and dispatch: a list of steps, built once in `serve.app`."""
