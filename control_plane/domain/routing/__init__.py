"""What a routing policy means, and its compact form for the traffic backend."""
