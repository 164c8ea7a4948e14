"""Any store to any store, by one code path."""

from .graph import DEFAULT_CONCURRENCY, CopyReport, copy_graph

__all__ = ["DEFAULT_CONCURRENCY", "CopyReport", "copy_graph"]
