"""Configuration that changes while a gateway serves: files are watched, checked, and taken up whole or not at all."""
