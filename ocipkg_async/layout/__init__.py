"""Image layouts, as directories and as archives."""

from .directory import Layout
from .sweeping import Problem

__all__ = ["Layout", "Problem"]
