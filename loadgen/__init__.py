"""Make trace load, observe it, account for it."""

__version__ = "0.1.0"
