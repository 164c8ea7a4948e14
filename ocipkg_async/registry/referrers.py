"""Referrers: the API, and the tag that stands in for it (D-82 to D-99)."""

import random
from collections.abc import Callable

import anyio

from ..errors import (
    InvalidDocumentError,
    ProtocolError,
    RegistryError,
    RegistryNotFoundError,
)
from ..spec import Descriptor, Digest, Document, Index, media_types, parse_document
from .endpoint import Endpoint
from .manifests import push, read_named
from .pages import pages

API = "referrers"  # its name among the capabilities
MAX_REFERRERS = 100_000
# How often an entry is written again after another client's write removed it.
_MAX_RACES = 5


def fallback_tag(subject: Digest) -> str:
    """Return the tag that lists the referrers of `subject` where the API is missing (D-90)."""
    return f"{subject.algorithm[:32].replace('+', '-')}-{subject.encoded[:64].replace('=', '-')}"


async def list_referrers(
    endpoint: Endpoint, subject: Digest, *, artifact_type: str | None, max_bytes: int
) -> list[Descriptor]:
    """Return the manifests that refer to `subject`, of one artifact type if given.

    Raises:
        RegistryError, TransportError: the registry refused, or could not be reached.
        InvalidDocumentError: what it keeps as the list of referrers is none.
    """
    found: list[Descriptor] | None = None
    if endpoint.capabilities.known(API) is not False:
        found = await _from_api(endpoint, subject, artifact_type)
    if found is None:
        index = await _read_fallback(endpoint, subject, max_bytes=max_bytes)
        found = list(index.manifests) if index else []
    unique = {entry.digest: entry for entry in found}
    return [e for e in unique.values() if artifact_type in {None, e.artifact_type}]


async def _from_api(
    endpoint: Endpoint, subject: Digest, artifact_type: str | None
) -> list[Descriptor] | None:
    query = {"artifactType": artifact_type} if artifact_type else {}
    url = endpoint.url(f"referrers/{subject}", **query)
    found: list[Descriptor] = []
    try:
        async for raw, headers in pages(
            endpoint,
            url,
            scopes=endpoint.pull,
            what="referrers",
            headers={"Accept": media_types.OCI_INDEX},
        ):
            kind = media_types.without_parameters(headers.get("Content-Type") or "")
            if kind != media_types.OCI_INDEX:
                return None  # a page for people, or a proxy: not the API (D-82)
            found.extend(_as_index(parse_document(raw, media_type=kind)).manifests)
            if len(found) > MAX_REFERRERS:
                raise ProtocolError(f"{subject} has more than {MAX_REFERRERS} referrers; stopped")
    except RegistryError as error:
        if error.status not in {400, 404, 405}:
            raise
        if "NAME_UNKNOWN" not in {detail.code for detail in error.details}:
            endpoint.capabilities.learn(API, supported=False)
        return None
    endpoint.capabilities.learn(API, supported=True)
    return found


def _as_index(document: Document) -> Index:
    if not isinstance(document, Index):
        raise InvalidDocumentError(
            "what the registry keeps as the list of referrers is not an index",
            hint="somebody tagged another manifest with that name; it is left as it is",
        )
    return document


async def has_api(endpoint: Endpoint, subject: Digest) -> bool:
    """Whether the registry keeps the list of referrers itself (D-94); asked once, then known.

    Raises:
        TransportError: it could not be reached.
    """
    if endpoint.capabilities.known(API) is None:
        try:
            await _from_api(endpoint, subject, None)
        except RegistryError:
            return False
    return endpoint.capabilities.known(API) is True


async def _read_fallback(endpoint: Endpoint, subject: Digest, *, max_bytes: int) -> Index | None:
    # By tag in one request: between two, another client may remove what the tag pointed to, and
    # the list would look empty.
    try:
        document = await read_named(endpoint, fallback_tag(subject), max_bytes=max_bytes)
    except RegistryNotFoundError:
        return None
    return _as_index(document)


async def add_referrer(endpoint: Endpoint, document: Document, *, max_bytes: int) -> None:
    """List a pushed manifest under its subject's fallback tag (D-92, D-96).

    Call it only where the registry did not say that it lists referrers itself. Another client that
    writes at the same moment can remove the entry; it is looked for again afterwards, but two
    foreign clients can still lose one.

    Raises:
        InvalidDocumentError: the tag holds something that is no list of referrers.
        ProtocolError: other writers removed the entry each time.
    """
    entry = document.referrer_descriptor

    def with_entry(index: Index | None) -> tuple[Descriptor, ...] | None:
        entries = index.manifests if index else ()
        return None if any(e.digest == entry.digest for e in entries) else (*entries, entry)

    await _edit(endpoint, document, with_entry, max_bytes=max_bytes)


async def remove_referrer(endpoint: Endpoint, document: Document, *, max_bytes: int) -> None:
    """Take a manifest that is about to be deleted off its subject's fallback tag (D-93, D-98).

    The tag of a list that becomes empty is removed where the registry allows it.

    Raises:
        InvalidDocumentError: the tag holds something that is no list of referrers.
        ProtocolError: other writers put the entry back each time.
    """

    def without_entry(index: Index | None) -> tuple[Descriptor, ...] | None:
        entries = index.manifests if index else ()
        rest = tuple(e for e in entries if e.digest != document.digest)
        return None if len(rest) == len(entries) else rest

    await _edit(endpoint, document, without_entry, max_bytes=max_bytes)


async def _edit(
    endpoint: Endpoint,
    document: Document,
    change: Callable[[Index | None], tuple[Descriptor, ...] | None],
    *,
    max_bytes: int,
) -> None:
    """Write the changed list until reading it back shows that nothing is left to change."""
    if document.subject is None:
        return
    subject = document.subject.digest
    async with endpoint.edits:
        for attempt in range(_MAX_RACES + 1):
            if attempt > 1:  # the first reading back should find what was written
                await anyio.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - jitter
            entries = change(await _read_fallback(endpoint, subject, max_bytes=max_bytes))
            if entries is None:
                return
            if attempt < _MAX_RACES:
                await _write(endpoint, subject, entries)
    raise ProtocolError(
        f"the list of referrers of {subject} was changed by others {_MAX_RACES} times in a row",
        hint="run it again when fewer clients write to this repository",
    )


async def _write(endpoint: Endpoint, subject: Digest, entries: tuple[Descriptor, ...]) -> None:
    tag = fallback_tag(subject)
    if not entries and await _delete_tag(endpoint, tag):
        return
    index = Index.build(manifests=entries)
    await push(endpoint, index.descriptor, index.raw, tag)


async def _delete_tag(endpoint: Endpoint, tag: str) -> bool:
    """Remove the tag of an empty list; return whether it is gone (D-93)."""
    request = endpoint.request(
        "DELETE",
        endpoint.url(f"manifests/{tag}"),
        scopes=endpoint.delete,
        accept=frozenset({200, 202, 204, 404}),
    )
    try:
        async with endpoint.transport.send(request):
            return True
    except RegistryError:
        return False  # many registries remove no tags; an empty list says the same
