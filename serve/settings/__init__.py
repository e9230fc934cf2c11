"""What can be set: the tree, its file, and how mistakes in it are reported."""
