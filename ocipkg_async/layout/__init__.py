"""Image layouts as stores: directories and archives."""

from .archive_reader import ArchiveReader
from .archive_writer import ArchiveWriter
from .detect import detect
from .directory import Layout
from .sweeping import Problem

__all__ = ["ArchiveReader", "ArchiveWriter", "Layout", "Problem", "detect"]
