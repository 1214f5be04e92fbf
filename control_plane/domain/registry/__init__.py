"""Rules of the registry: aliases, states, figures, provenance, service levels."""
