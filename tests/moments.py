"""Doing what another process could do, at an exact step of what is tested."""

import builtins
import io
import os
from collections.abc import Callable
from typing import Any

import pytest

_ALSO: dict[str, tuple[tuple[Any, str], ...]] = {
    "stat": ((os, "stat"), (os, "lstat")),
    "open": ((os, "open"), (io, "open"), (builtins, "open")),
    "rename": ((os, "rename"), (os, "replace")),
    "scandir": ((os, "scandir"), (os, "listdir")),
}


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
