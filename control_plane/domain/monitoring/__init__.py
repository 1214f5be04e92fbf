"""Metrics for Prometheus: every one that there is, and the rules and dashboards made of them."""
