"""Vectors to validated index segments, and reading them back."""
