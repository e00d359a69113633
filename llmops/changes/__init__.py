"""What would change, in which order, how to undo it."""
