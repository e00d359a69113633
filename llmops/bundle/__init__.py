"""Bundles on a disk: models, lock and files for a machine without network, written and read; nothing is decided here."""
