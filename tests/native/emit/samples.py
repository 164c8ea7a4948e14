"""Linkages that exist on no disk."""

from pathlib import Path
from typing import Any

from ocipkg_async.native import Library, Linkage
from ocipkg_async.spec import Platform

LINUX = Platform(os="linux", architecture="amd64")
MAC = Platform(os="darwin", architecture="arm64")
WINDOWS = Platform(os="windows", architecture="amd64")


def static(name: str, folder: str = "/p/lib", *, file: str | None = None) -> Library:
    return Library(name=name, kind="static", path=Path(folder, file or f"lib{name}.a"))


def dynamic(name: str, folder: str = "/p/lib", *, file: str | None = None) -> Library:
    return Library(name=name, kind="dynamic", path=Path(folder, file or f"lib{name}.so"))


def dll(name: str) -> Library:
    return Library(
        name=name,
        kind="dynamic",
        path=Path(f"/p/lib/{name}.lib"),
        runtime=Path(f"/p/bin/{name}.dll"),
    )


def linkage(*libraries: Library, **changes: Any) -> Linkage:
    values: dict[str, Any] = {
        "name": "foo",
        "version": "v1.2.0",
        "description": "",
        "path": Path("/p"),
        "platform": LINUX,
        "libraries": libraries,
    }
    return Linkage(**{**values, **changes})
