"""All state in one folder: taken while everything runs, verified, and put back."""
