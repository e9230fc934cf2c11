"""Which of many offered tools a request may need: a prepared index of tools, and a learned selector over it."""
