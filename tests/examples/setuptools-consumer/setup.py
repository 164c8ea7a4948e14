"""An extension module that links two libraries from a registry.

python setup.py build_ext --inplace && python -c 'import consumer; print(consumer.root(27))'

A project that is built with pip names ocipkg-async under ``requires`` of ``[build-system]``.
"""

import os
from pathlib import Path

from setuptools import Extension, setup

from ocipkg_async.link import compile_arguments, link, link_arguments

REGISTRY = os.environ.get("REGISTRY", "ghcr.io/example")
LOCK = Path("ocipkg.lock")

packages = [
    link(
        f"{REGISTRY}/{package}",
        lock=LOCK if LOCK.exists() else None,
        offline="OFFLINE" in os.environ,
    )
    for package in ("hello:1.2.0", "hello-rust:1.0.0")
]
setup(
    name="consumer",
    version="0.1.0",
    ext_modules=[
        Extension(
            "consumer",
            ["consumer.c"],
            extra_compile_args=[one for package in packages for one in compile_arguments(package)],
            extra_link_args=[one for package in packages for one in link_arguments(package)],
        )
    ],
)
