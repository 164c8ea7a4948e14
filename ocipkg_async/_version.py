"""The version: the build backend and the User-Agent header read it here."""

__version__ = "0.1.0"
