"""Doing what another process could do, at an exact step of what is tested."""

import builtins
import io
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_ALSO: dict[str, tuple[tuple[Any, str], ...]] = {
    "stat": ((os, "stat"), (os, "lstat")),
    "open": ((os, "open"), (io, "open"), (builtins, "open")),
    "rename": ((os, "rename"), (os, "replace")),
    "scandir": ((os, "scandir"), (os, "listdir")),
}
_COUNTED = (
    *((os, name) for name in ("stat", "open", "link", "utime", "replace", "unlink", "mkdir")),
    *((os, name) for name in ("scandir", "listdir")),
    (io, "open"),
)


def just_before(
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    path: Callable[[str], bool],
    act: Callable[[], object],
    *,
    time: int = 1,
) -> list[str]:
    """Act once, just before the system is called for the n-th time with such a path.

    Args:
        monkeypatch: takes it back.
        call: a function of `os`, and those that do the same: ``stat`` is ``lstat``, too.
        path: whether one of the paths it is called with is meant, as it is given.
        act: what happens.
        time: which call.

    Returns:
        a list that gets the path when it has happened.
    """
    seen: list[str] = []
    done: list[str] = []

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def function(*args: Any, **options: Any) -> Any:
            names = [os.fspath(one) for one in args[:2] if isinstance(one, str | os.PathLike)]
            if not done and any(path(str(name)) for name in names):
                seen.append(str(names[0]))
                if len(seen) == time:
                    done.append(str(names[0]))
                    act()
            return real(*args, **options)

        return function

    for module, name in _ALSO.get(call, ((os, call),)):
        monkeypatch.setattr(module, name, watched(getattr(module, name)))
    return done


class Remover:
    """Removes a file or folder just before a call whose number is chosen, of those below `folder`."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._turn = threading.Lock()
        self._target: Path | None = None
        self._left = -1
        for module, name in _COUNTED:
            monkeypatch.setattr(module, name, self._counting(getattr(module, name)))

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
