"""The local package store."""

from .local import LocalStore, Package, Problem, Pruned, default_path
from .lock_file import LockedPackage, LockFile

__all__ = [
    "LocalStore",
    "LockFile",
    "LockedPackage",
    "Package",
    "Problem",
    "Pruned",
    "default_path",
]
