"""The page of the registry for people who open it in a browser."""

from .browsing import browse

__all__ = ["browse"]
