"""Read what others wrote, and write what we hand on."""
