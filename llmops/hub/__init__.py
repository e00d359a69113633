"""Where models come from, and the store they go to."""
