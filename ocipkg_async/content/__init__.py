"""What a store is: protocols, verified reading, sources, local files, the graph of content."""

from .graph import fetch_bytes, fetch_document, walk
from .memory import MemoryStore
from .meter import Meter
from .reader import BlobReader, ByteStream, verified
from .select import select_manifest
from .sources import BytesSource, FetchSource, FileSource, ProducerSource, StreamSource
from .store import (
    Deleter,
    Downloader,
    Fetcher,
    LocalFiles,
    Mounter,
    Pusher,
    ReadStore,
    ReferrersLister,
    Resolver,
    SavingSource,
    Source,
    Store,
    StreamPusher,
    TaggedPusher,
    Tagger,
    TagLister,
    Untagger,
)
from .threads import finish_in_thread, run_in_thread

__all__ = [
    "BlobReader",
    "ByteStream",
    "BytesSource",
    "Deleter",
    "Downloader",
    "FetchSource",
    "Fetcher",
    "FileSource",
    "LocalFiles",
    "MemoryStore",
    "Meter",
    "Mounter",
    "ProducerSource",
    "Pusher",
    "ReadStore",
    "ReferrersLister",
    "Resolver",
    "SavingSource",
    "Source",
    "Store",
    "StreamPusher",
    "StreamSource",
    "TagLister",
    "TaggedPusher",
    "Tagger",
    "Untagger",
    "fetch_bytes",
    "fetch_document",
    "finish_in_thread",
    "run_in_thread",
    "select_manifest",
    "verified",
    "walk",
]
