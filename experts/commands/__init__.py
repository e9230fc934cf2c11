"""What all commands share: how they complain, and how they write files."""
