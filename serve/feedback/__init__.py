"""What people say of answers, kept."""
