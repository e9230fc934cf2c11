"""Experts as Ray Serve applications. With `experts.app` the only code that imports Ray."""
