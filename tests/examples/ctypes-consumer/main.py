"""Loads two shared libraries from a registry and calls them. Run with: python main.py."""

import ctypes
import os
from pathlib import Path

from ocipkg_async.link import load_library

REGISTRY = os.environ.get("REGISTRY", "ghcr.io/example")
LOCK = Path("ocipkg.lock")


def load(package: str) -> ctypes.CDLL:
    """Load the library of a package, the locked one where there is a lock file."""
    return load_library(
        f"{REGISTRY}/{package}",
        lock=LOCK if LOCK.exists() else None,
        offline="OFFLINE" in os.environ,
    )


hello, hello_rust = load("hello:1.2.0"), load("hello-rust:1.0.0")
hello.hello_kind.restype = ctypes.c_char_p
hello.hello_root.restype = ctypes.c_double
hello.hello_root.argtypes = [ctypes.c_double]
root, triple = hello.hello_root(27), hello_rust.hello_rust_triple(7)
print(f"{hello.hello_kind().decode()} {root:.0f} {triple}")
