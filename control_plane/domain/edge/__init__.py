"""The proxy in front of several servers: what its files say, from what the fleet is. Pure."""
