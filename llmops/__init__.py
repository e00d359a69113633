"""Examine a host, size, pull, verify, render and smoke-test a language model server."""

__version__ = "0.1.0"
