"""When each installed package was used last: the times of empty files beside the packages.

Not of the packages' own folders, whose times build systems watch. All of it blocks.
"""

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path

_EVERY_S = 60.0
"""Builds look for packages often; nobody needs to know to the second."""


class Stamps:
    """The stamps in one folder, which is made when there is one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def touch(self, name: str, *, now_s: float) -> None:
        """Note that a package is used now, unless that was noted just before."""
        file = self._file(name)
        with contextlib.suppress(OSError):  # a store that may only be read is never pruned either
            if abs(now_s - _time(file, 0.0)) < _EVERY_S:
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            file.touch()

    def last_s(self, name: str, folder: Path) -> float:
        """Return when a package was used, in seconds since 1970.

        Args:
            name: of the package.
            folder: with its files; they were made then if nothing else is known.
        """
        return _time(self._file(name), _time(folder, 0.0))

    def keep_only(self, names: Iterable[str]) -> None:
        """Forget all other packages."""
        kept = {self._file(name) for name in names}
        with contextlib.suppress(FileNotFoundError):
            for file in self._folder.iterdir():
                if file not in kept:
                    file.unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        # Names are longer than file names may be, and some file systems fold them.
        return self._folder / hashlib.sha256(name.encode()).hexdigest()


def _time(path: Path, default: float) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return default
