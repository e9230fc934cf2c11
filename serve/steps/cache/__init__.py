"""The cache: the same request of the same key, to the same experts, gets the answer that it got before."""
