"""Removes a file or folder, as another program could, just before one chosen call of the system."""

import io
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_CALLS = ("open", "stat", "link", "utime", "replace", "unlink", "scandir", "listdir", "mkdir")


class Remover:
    """Counts the calls of this process that name a path below `folder`; off until `arm`."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._turn = threading.Lock()
        self._target: Path | None = None
        self._left = -1
        for name in _CALLS:
            monkeypatch.setattr(os, name, self._counting(getattr(os, name)))
        monkeypatch.setattr(io, "open", self._counting(io.open))

    def arm(self, target: Path, *, before: int) -> None:
        """Remove `target` before the call with this number, from 0."""
        self._left, self._target = before, target

    def disarm(self) -> bool:
        """Stop counting; return whether the target was removed."""
        removed = self._target is None
        self._target = None
        return removed

    def _counting(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            if args and isinstance(args[0], (str, Path)):
                self._count(str(args[0]))
            return call(*args, **options)

        return counted

    def _count(self, path: str) -> None:
        with self._turn:
            if self._target is None or not path.startswith(str(self.folder)):
                return
            self._left -= 1
            if self._left >= 0:
                return
            target, self._target = self._target, None
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
