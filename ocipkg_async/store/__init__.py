"""The local package store."""

from .local import LocalStore, default_path
from .lock_file import LockedPackage, LockFile
from .values import Package, Problem, Pruned

__all__ = [
    "LocalStore",
    "LockFile",
    "LockedPackage",
    "Package",
    "Problem",
    "Pruned",
    "default_path",
]
