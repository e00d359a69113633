"""Show it: terminal, pipe, JSON."""
