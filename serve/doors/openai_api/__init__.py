"""OpenAI's wire forms: request bodies read, answers written."""
