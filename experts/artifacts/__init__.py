"""Where weights come from and where compiled ones are kept."""
