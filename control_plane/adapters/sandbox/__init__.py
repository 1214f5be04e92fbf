"""A process with limits, in which untrusted files are read: no network, no other process."""
