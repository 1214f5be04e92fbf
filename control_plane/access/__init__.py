"""Who may come in: API tokens, kept as hashes."""
