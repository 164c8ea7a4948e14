"""Loads a shared library from a registry and calls it. Run with: python main.py."""

import ctypes
import os

from ocipkg_async.link import load_library

PACKAGE = os.environ.get("HELLO_PACKAGE", "ghcr.io/example/hello:1.2.0")

hello = load_library(PACKAGE)
hello.hello_kind.restype = ctypes.c_char_p
hello.hello_root.restype = ctypes.c_double
hello.hello_root.argtypes = [ctypes.c_double]
print(hello.hello_kind().decode(), hello.hello_root(27))
