"""Builds the library of ``tests/examples/hello-c``, and linkages of what was built."""

import shutil
import subprocess
from pathlib import Path

from ocipkg_async.native import Library, LibraryKind, Linkage
from ocipkg_async.spec import Platform

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
GREETING = '"good morning"'
"""What the macro of the header stands for: text of C with a space in it."""


def build(folder: Path, *, cc: str, ar: str) -> Path:
    """Build the C library, static and shared, as it is to be packed."""
    out = folder / "out"
    (out / "lib").mkdir(parents=True)
    shutil.copytree(EXAMPLES / "hello-c" / "include", out / "include")
    objects = {}
    for name, source, flags in (
        ("hello", "hello.c", ()),
        ("base", "base.c", ()),
        ("shared", "hello.c", ("-DHELLO_SHARED",)),
    ):
        objects[name] = folder / f"{name}.o"
        _run(cc, "-c", "-fPIC", *flags, EXAMPLES / "hello-c" / source, "-o", objects[name])
    _run(ar, "rcs", out / "lib/libhello.a", objects["hello"])
    _run(ar, "rcs", out / "lib/libhello_base.a", objects["base"])
    # Without a SONAME, as Rust makes them.
    _run(cc, "-shared", objects["base"], "-lm", "-o", out / "lib/libhello_base.so")
    _run(
        *(cc, "-shared", objects["shared"], f"-L{out / 'lib'}", "-lhello_base"),
        *("-Wl,-rpath,$ORIGIN", "-o", out / "lib/libhello.so"),
    )
    return out


def linkage(
    folder: Path,
    kind: LibraryKind = "static",
    *,
    greeting: str = GREETING,
    platform: Platform | None = None,
) -> Linkage:
    """Return how to link what was built, with the values that its author would give."""
    suffix = "a" if kind == "static" else "so"
    return Linkage(
        name="hello",
        version="v1.2.0",
        description="A small library",
        path=folder,
        platform=platform or Platform.host(),
        libraries=tuple(
            Library(name=name, kind=kind, path=folder / f"lib/lib{name}.{suffix}")
            for name in ("hello", "hello_base")
        ),
        include=(folder / "include",),
        defines=(f"HELLO_GREETING={greeting}",),
        system_libraries=("m",),
    )


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, timeout=60)
