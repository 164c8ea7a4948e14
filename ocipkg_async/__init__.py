"""Distribute packages through OCI registries, from asyncio.

Example:
    ::

        import asyncio
        from ocipkg_async import Client

        async def main() -> None:
            async with Client() as client:
                package = await client.get("ghcr.io/org/pkg:v1")
                print(package.path)

        asyncio.run(main())

The blocking twin is `ocipkg_async.sync`, the command ``ocipkg-async``.
"""

import importlib
from typing import TYPE_CHECKING

from ._late import late_name
from ._version import __version__

if TYPE_CHECKING:
    from . import errors
    from .client import Client, ClientOptions, Inspection
    from .content import BytesSource, FileSource, ProducerSource
    from .copy import CopyReport
    from .errors import OCIError
    from .events import Event
    from .layout import ArchiveReader, ArchiveWriter, Layout
    from .native import Linkage, LinkMetadata
    from .package import ArtifactFile, Compression, RunConfig, UnpackLimits, UnpackReport
    from .registry import Repository, TransferOptions
    from .server import EmbeddedRegistry
    from .spec import Descriptor, Digest, Index, Manifest, Platform, Reference
    from .store import LocalStore, LockFile, Package
    from .transport import Credential, RetryPolicy, StaticCredentials, TransportOptions

# Names are imported when they are first used: the command's --help, and programs that need a part,
# do not pay for the HTTP library.
_HOMES = {
    "ArchiveReader": "layout",
    "ArchiveWriter": "layout",
    "ArtifactFile": "package",
    "BytesSource": "content",
    "Client": "client",
    "ClientOptions": "client",
    "Compression": "package",
    "CopyReport": "copy",
    "Credential": "transport",
    "Descriptor": "spec",
    "Digest": "spec",
    "EmbeddedRegistry": "server",
    "Event": "events",
    "FileSource": "content",
    "Index": "spec",
    "Inspection": "client",
    "Layout": "layout",
    "LinkMetadata": "native",
    "Linkage": "native",
    "LocalStore": "store",
    "LockFile": "store",
    "Manifest": "spec",
    "OCIError": "errors",
    "Package": "store",
    "Platform": "spec",
    "ProducerSource": "content",
    "Reference": "spec",
    "Repository": "registry",
    "RetryPolicy": "transport",
    "RunConfig": "package",
    "StaticCredentials": "transport",
    "TransferOptions": "registry",
    "TransportOptions": "transport",
    "UnpackLimits": "package",
    "UnpackReport": "package",
}

__all__ = [
    "ArchiveReader",
    "ArchiveWriter",
    "ArtifactFile",
    "BytesSource",
    "Client",
    "ClientOptions",
    "Compression",
    "CopyReport",
    "Credential",
    "Descriptor",
    "Digest",
    "EmbeddedRegistry",
    "Event",
    "FileSource",
    "Index",
    "Inspection",
    "Layout",
    "LinkMetadata",
    "Linkage",
    "LocalStore",
    "LockFile",
    "Manifest",
    "OCIError",
    "Package",
    "Platform",
    "ProducerSource",
    "Reference",
    "Repository",
    "RetryPolicy",
    "RunConfig",
    "StaticCredentials",
    "TransferOptions",
    "TransportOptions",
    "UnpackLimits",
    "UnpackReport",
    "__version__",
    "errors",
]


def __getattr__(name: str) -> object:
    if name == "errors":
        return importlib.import_module(".errors", __name__)
    if name == "Client":
        # The command loads the HTTP library when it needs it; a service when it starts, and not
        # in its event loop, amid its work.
        importlib.import_module(".client.network", __name__)
    return late_name(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
