"""Hostile files for the readers, made by the thousand: ``python -m tests.fuzz --help``."""
