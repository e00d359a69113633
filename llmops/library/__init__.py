"""Shipped files and the user's own, read and written atomically."""
