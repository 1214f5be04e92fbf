"""How a version is served: everything Triton's model configuration can say of it, typed."""
