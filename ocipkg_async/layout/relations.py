"""What is remembered of the documents of a layout; pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from ..spec import Descriptor, Digest, media_types

MAX_NOTES_BYTES = 4 << 10
"""Longest annotations that are kept of every referrer. Those of one manifest may have 4 MiB, and
there may be very many; longer ones are read again."""


@dataclass(frozen=True, slots=True)
class Links:
    """What one document points to, and its entry in a list of referrers."""

    successors: tuple[Descriptor, ...]
    subject: Descriptor | None
    referrer: Descriptor


class Referrer(NamedTuple):
    """An entry in a list of referrers; unless `whole`, its long annotations are left out."""

    entry: Descriptor
    whole: bool


class Relations(NamedTuple):
    """What is remembered of every document: little, since there may be very many."""

    children: tuple[Descriptor, ...] = ()
    subject: Digest | None = None
    referrer: Referrer | None = None


NONE = Relations()


def relations_of(descriptor: Descriptor, links: Links) -> Relations:
    """Return what to remember of a document."""
    children: tuple[Descriptor, ...] = ()
    if media_types.is_index(descriptor.media_type):
        children = tuple(one.plain() for one in only_documents(links.successors))
    if links.subject is None:
        return Relations(children) if children else NONE
    return Relations(children, links.subject.digest, _brief(links.referrer))


def only_documents(descriptors: Iterable[Descriptor]) -> Iterator[Descriptor]:
    """Leave out blobs."""
    return (descriptor for descriptor in descriptors if descriptor.is_document)


def _brief(referrer: Descriptor) -> Referrer:
    notes = referrer.annotations or {}
    if sum(len(key) + len(value) for key, value in notes.items()) <= MAX_NOTES_BYTES:
        return Referrer(referrer, whole=True)
    return Referrer(msgspec.structs.replace(referrer, annotations=None), whole=False)
