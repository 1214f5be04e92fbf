"""Every call of the API, described once: a generator of steps that ends with the result."""
