"""Other people's Triton repositories: what becomes of one here, and whether two mean the same."""
