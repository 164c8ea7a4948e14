"""Names in an image layout: which entry a name means, and which names may be written.

A layout calls an entry by ``org.opencontainers.image.ref.name``: a bare tag in most tools, the
full reference in ocipkg. containerd and Docker add the full reference in an annotation of their
own (I-04, I-05).
"""

import re
from collections.abc import Iterable, Sequence

from ..errors import (
    InvalidArgumentError,
    InvalidLayoutError,
    InvalidReferenceError,
    NotFoundError,
    OCIError,
)
from ..spec import Descriptor, Digest, Reference
from ..spec.digest import VERIFIABLE
from ..spec.reference import is_tag
from .entries import Entries, names_of

# The grammar of image-spec v1.1 annotations.md.
_RUNS = r"[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*"
_GRAMMAR = re.compile(rf"{_RUNS}(?:/{_RUNS})*", re.ASCII)
_MAX_LENGTH = 4096
_SHOWN = 10  # names in an error message


def as_digest(name: str) -> Digest | None:
    """Return `name` as a digest if it is one that content can be verified by."""
    algorithm, colon, _ = name.partition(":")
    if not colon or algorithm not in VERIFIABLE:
        return None
    return Digest(name)


def check_name(name: str) -> str:
    """Return `name` if it may be written as a name (I-04, O-11).

    Allowed are the image specification's grammar, any tag, and any full reference, also with words
    behind a ``+`` as the local store writes platforms.

    Raises:
        InvalidReferenceError: it is none of these, or a digest.
    """
    algorithm, colon, _ = name.partition(":")
    if colon and algorithm in VERIFIABLE:
        raise InvalidReferenceError(
            f"{name[:100]!r} looks like a digest and cannot be a name",
            hint="choose a tag such as v1",
        )
    text, plus, words = name.partition("+")
    full = _reference(text) is not None and (not plus or _GRAMMAR.fullmatch(words))
    if len(name) <= _MAX_LENGTH and (full or _GRAMMAR.fullmatch(name) or is_tag(name)):
        return name
    raise InvalidReferenceError(
        f"{name[:100]!r} cannot be a name in an image layout",
        hint="use a tag such as v1, or a full reference such as ghcr.io/org/pkg:v1",
    )


def listed(entries: Sequence[Descriptor]) -> list[str]:
    """Return one name for each named entry, sorted.

    A tag that several entries share, as Docker writes it, is replaced by their full names.
    """
    by_name = Entries.of(entries).by_name
    result: set[str] = set()
    for entry in entries:
        names = names_of(entry)
        if names:
            result.add(next((name for name in names if len(by_name[name]) == 1), names[0]))
    return sorted(result)


def find(entries: Sequence[Descriptor], name: str) -> Descriptor:
    """Return the entry that `name` means.

    The exact text counts first, then the same reference written differently (``ubuntu:22.04``),
    then a bare tag that fits the tag of exactly one full name (O-02).

    Raises:
        NotFoundError: none; the hint lists the names there.
        InvalidLayoutError: several entries have this very name (I-06).
        InvalidArgumentError: a bare tag that fits several full names.
    """
    exact = find_exact(entries, name)
    if exact is not None:
        return exact
    loose = _loose(entries, name)
    if len(_identities(loose)) > 1:
        raise InvalidArgumentError(
            f"{name!r} fits several names", hint="choose one of " + _shown(loose)
        )
    if loose:
        return loose[0]
    raise NotFoundError(f"there is no {name!r} here", hint=_offer(entries))


def find_exact(entries: Sequence[Descriptor], name: str) -> Descriptor | None:
    """Return the entry that has this very name, or None.

    Raises:
        InvalidLayoutError: several different ones have it (I-06).
    """
    found = Entries.of(entries).by_name.get(name, ())
    if len(found) > 1:
        raise InvalidLayoutError(
            f"the name {name!r} stands for {len(found)} different manifests here",
            hint="name one of them by its digest or its full name",
        )
    return found[0] if found else None


def only(entries: Sequence[Descriptor]) -> Descriptor:
    """Return the entry that is meant when no name is given (O-03).

    Named entries count first, so referrers and other untagged ones do not make it unclear.

    Raises:
        NotFoundError: there is none.
        InvalidArgumentError: there are several.
    """
    candidates = [entry for entry in entries if names_of(entry)] or list(entries)
    if not candidates:
        raise NotFoundError("there is nothing in this layout: its index.json has no entries")
    if len(_identities(candidates)) > 1:
        raise InvalidArgumentError(
            f"there are {len(_identities(candidates))} images here; a name is needed",
            hint="choose one of " + _shown(candidates),
        )
    return candidates[0]


def _loose(entries: Sequence[Descriptor], name: str) -> list[Descriptor]:
    wanted = _reference(name)
    if wanted is not None:
        wanted = wanted.with_default_tag()
        return [
            e
            for e in entries
            if any(r and r.with_default_tag() == wanted for r in map(_reference, names_of(e)))
        ]
    if not is_tag(name):
        return []
    return [e for e in entries if any(r and r.tag == name for r in map(_reference, names_of(e)))]


def _reference(name: str) -> Reference | None:
    """Parse a full name; a bare word is a tag here, not an image of Docker Hub."""
    if "/" not in name and ":" not in name:
        return None
    try:
        return Reference.parse(name)
    except OCIError:
        return None


def _identities(entries: Iterable[Descriptor]) -> set[tuple[str, str, int]]:
    return {(e.media_type, e.digest, e.size) for e in entries}


def _shown(entries: Sequence[Descriptor]) -> str:
    texts = listed(entries) or sorted({str(entry.digest) for entry in entries})
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(repr(text)[1:-1] for text in texts[:_SHOWN]) + more


def _offer(entries: Sequence[Descriptor]) -> str:
    return f"there are {_shown(entries)}" if entries else "its index.json has no entries"
