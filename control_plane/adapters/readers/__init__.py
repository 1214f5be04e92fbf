"""What reads untrusted files: only ever run in a limited process (`adapters.sandbox`)."""
