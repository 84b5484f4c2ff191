"""The components that `__main__.py` puts together."""
