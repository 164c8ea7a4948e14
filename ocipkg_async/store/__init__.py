"""The local package store."""

from .local import LocalStore, Package, Problem, Pruned, default_path

__all__ = ["LocalStore", "Package", "Problem", "Pruned", "default_path"]
