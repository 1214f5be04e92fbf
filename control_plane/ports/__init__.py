"""What the control plane needs from the outside, as protocols."""
