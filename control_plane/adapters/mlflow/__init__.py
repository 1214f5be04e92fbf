"""MLflow's model registry as a source of versions, over its REST API."""
