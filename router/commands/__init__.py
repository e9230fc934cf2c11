"""How this package's commands end, and how they write files."""
