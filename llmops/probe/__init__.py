"""Ask the host; decide nothing."""
