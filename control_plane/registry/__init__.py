"""Models, their versions and the artifacts they consist of."""
