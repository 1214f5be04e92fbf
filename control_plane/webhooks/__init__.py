"""Events told to other people's servers: who wants which, and what became of each delivery."""
