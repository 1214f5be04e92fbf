"""The tasks: keyword-only, carrying ids, making one call each."""
