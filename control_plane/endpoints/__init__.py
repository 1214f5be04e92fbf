"""Public names, their routing policies, and the revisions that were compiled from them."""
