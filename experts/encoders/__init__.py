"""Encoders: texts to vectors, one a text or one a token, behind one small protocol."""
