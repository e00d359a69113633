"""Read, back up, write and restore files on the host."""
