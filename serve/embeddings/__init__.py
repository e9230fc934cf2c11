"""Embeddings: texts in, vectors out, through the encoder beside the experts; the same for both doors."""
