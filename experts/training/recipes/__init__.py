"""What each expert learns from: rows of data files and hand-written seeds to checked samples."""
