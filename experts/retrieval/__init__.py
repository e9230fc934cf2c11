"""Collections of documents: cut into passages, kept in a store, searched by words and by meaning."""
