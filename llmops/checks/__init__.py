"""Judge the host, and judge deployment files."""
