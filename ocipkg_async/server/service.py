"""What every handler works on: the repositories, the open uploads, and what is switched on."""

from dataclasses import dataclass, field

import anyio

from ..content.reader import MAX_DOCUMENT_BYTES
from ..errors import InvalidDigestError
from ..spec import Digest
from ..spec.digest import VERIFIABLE
from .connections import Limits
from .failures import digest_invalid
from .sessions import Sessions
from .storage import ManifestCache, Repositories

MAX_MANIFEST_BYTES = MAX_DOCUMENT_BYTES
"""What a layout keeps as a document; both sides should cope with 4 megabytes at least (D-78)."""
LARGE_MANIFESTS = 4
"""How many large manifests are worked on at once."""
MAX_PAGE_ENTRIES = 1000
"""Longest page of a list: names of 128 characters make an answer of 128 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the registry allows.

    Attributes:
        max_manifest_bytes: longest manifest.
        delete: whether tags, manifests and blobs can be deleted; else 405.
        referrers: whether there is a referrers API; else 404.
        sparse: whether a manifest or index may list content that is not there.
        page_entries: longest page of names and of referrers.
        users: whether there are users, so that pushing needs a login.
    """

    max_manifest_bytes: int = MAX_MANIFEST_BYTES
    delete: bool = True
    referrers: bool = True
    sparse: bool = False
    page_entries: int = MAX_PAGE_ENTRIES
    users: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One running registry."""

    repositories: Repositories
    sessions: Sessions
    options: Options
    limits: Limits
    manifests: ManifestCache = field(default_factory=ManifestCache)
    large_manifests: anyio.Semaphore = field(
        default_factory=lambda: anyio.Semaphore(LARGE_MANIFESTS)
    )


def read_digest(text: str) -> Digest:
    """Parse a digest that content can be verified with.

    Raises:
        RefusedError: 400 DIGEST_INVALID.
    """
    try:
        digest = Digest(text)
    except InvalidDigestError as error:
        raise digest_invalid(text) from error
    if digest.algorithm not in VERIFIABLE:
        raise digest_invalid(text)
    return digest
