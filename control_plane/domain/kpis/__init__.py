"""How well an endpoint is served: its figures, where a request's time goes, what would help."""
