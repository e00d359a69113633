"""How much memory, on which device; the largest that fits."""
