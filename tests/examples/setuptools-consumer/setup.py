"""An extension module that links a C library from a registry.

python setup.py build_ext --inplace && python -c 'import consumer; print(consumer.root(27))'

A project that is built with pip names ocipkg-async under ``requires`` of ``[build-system]``.
"""

import os

from setuptools import Extension, setup

from ocipkg_async.link import compile_arguments, link, link_arguments

PACKAGE = os.environ.get("HELLO_PACKAGE", "ghcr.io/example/hello:1.2.0")

hello = link(PACKAGE)
setup(
    name="consumer",
    version="0.1.0",
    ext_modules=[
        Extension(
            "consumer",
            ["consumer.c"],
            extra_compile_args=compile_arguments(hello),
            extra_link_args=link_arguments(hello, rpath=True),
        )
    ],
)
