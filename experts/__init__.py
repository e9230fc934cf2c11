"""The experts: their catalogue, their engines, and the Ray Serve applications that run them."""
