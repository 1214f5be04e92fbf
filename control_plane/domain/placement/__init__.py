"""On which servers an endpoint is, and why not on the others. Pure."""
