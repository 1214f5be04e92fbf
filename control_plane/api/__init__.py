"""The REST API, `/api/v1`: all of DRF lives here, one module per resource."""
