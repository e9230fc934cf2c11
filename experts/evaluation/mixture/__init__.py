"""The mixture against the one: the same rows asked of `auto`, of each expert, and of the base they are made of."""
