"""The control plane: what should serve, and how it gets there."""
