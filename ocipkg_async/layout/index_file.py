"""Edits of ``index.json`` on the raw JSON, as pure functions: tree in, new tree out.

Editing the parsed JSON instead of typed values keeps what other tools wrote: unknown members,
entries of unknown media types, annotations. No function changes its argument.
"""

import json
from collections.abc import Container, Iterable, Sequence
from typing import Any

from ..errors import InvalidDocumentError, InvalidLayoutError, NotFoundError, UnsupportedError
from ..spec import Descriptor, Digest, annotations, media_types, parse_document
from ..spec.decoding import convert, decode_json

Tree = dict[str, Any]
Entry = dict[str, Any]

MAX_BYTES = 20 << 20
"""Largest ``index.json`` that is read: containerd's limit, so a larger one could not travel."""

_NAME_KEYS = (annotations.REF_NAME, annotations.CONTAINERD_IMAGE_NAME)
# The members of an entry that say nothing beyond "this document is here".
_BARE = frozenset({"mediaType", "digest", "size"})


def empty() -> Tree:
    """Return an index without entries."""
    return {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": []}


def decode(data: bytes, *, where: str) -> Tree:
    """Parse ``index.json`` (I-02).

    Args:
        data: its bytes.
        where: the layout it belongs to, for the error.

    Raises:
        InvalidLayoutError: it is not an image index.
    """
    try:
        tree: Tree = decode_json(data, what="index.json")
        if type(tree) is dict and tree.get("manifests", ()) is None:
            # An empty list, as Go writes it; umoci makes new layouts so.
            tree["manifests"] = []
            data = json.dumps(tree).encode("ascii")
        parse_document(data, media_type=media_types.OCI_INDEX)
    except (InvalidDocumentError, UnsupportedError) as error:
        raise InvalidLayoutError(
            f"the index.json of {where} is not an image index: {error}", hint=error.hint
        ) from error
    return tree


def ordered(tree: Tree) -> Tree:
    """Return the index with ``mediaType`` and in a fixed order: named entries by name, then others."""
    return {**empty(), **tree, "manifests": sorted(tree["manifests"], key=_order)}


def encode(tree: Tree) -> bytes:
    """Serialise, `ordered`.

    The bytes depend on the set of entries alone, not on the order in which they came.
    """
    return dump(ordered(tree))


def dump(tree: Tree) -> bytes:
    """Serialise in the order that it has."""
    return json.dumps(tree, separators=(",", ":")).encode("ascii")


def descriptors(tree: Tree) -> list[Descriptor]:
    """Return the entries as typed values, annotations included."""
    return list(convert(tree["manifests"], tuple[Descriptor, ...], what="index.json"))


def descriptors_after(tree: Tree, before: Tree, known: Sequence[Descriptor]) -> list[Descriptor]:
    """Return the entries of an edited index, of which `known` are those of before the edit."""
    typed = {id(entry): one for entry, one in zip(before["manifests"], known, strict=True)}
    new = [entry for entry in tree["manifests"] if id(entry) not in typed]
    typed.update(zip(map(id, new), descriptors({"manifests": new}), strict=True))
    return [typed[id(entry)] for entry in tree["manifests"]]


def with_name(tree: Tree, descriptor: Descriptor, name: str) -> Tree:
    """Let `name` point to `descriptor` alone (I-06).

    An untagged entry of the same digest takes the name; the document that had the name before
    stays, untagged if it has no other name. The same document under two names is two entries.
    """
    # Whoever waits to edit pays for each look at all entries: there may be some ten thousand.
    entries, digest = _entries(tree), str(descriptor.digest)
    holders = _holders(entries, name)
    if [(e["digest"], _ref_name(e)) for e in holders] == [(digest, name)]:
        return tree
    entries = _drop_name(entries, holders, name)
    untagged = next((e for e in entries if e["digest"] == digest and not _names(e)), None)
    base = _bare(descriptor) if untagged is None else untagged
    if untagged is not None:
        entries = [e for e in entries if e is not untagged]
    notes = {**_notes(base), annotations.REF_NAME: name}
    return _with(tree, [*entries, {**base, "annotations": notes}])


def without_name(tree: Tree, name: str) -> Tree:
    """Take `name` away; its document stays, untagged if it has no other name.

    Raises:
        NotFoundError: no entry has exactly this name.
    """
    entries = _entries(tree)
    holders = _holders(entries, name)
    if not holders:
        raise NotFoundError(f"there is no tag {name!r} in this layout")
    return _with(tree, _drop_name(entries, holders, name))


def with_document(
    tree: Tree,
    descriptor: Descriptor,
    children: Iterable[Digest] = (),
    names: Iterable[str] = (),
) -> Tree:
    """List a document by its names, or untagged unless it is listed already (C-36).

    Bare entries of its `children`, the manifests of an index, go: they are reachable through it.
    """
    named = False
    for name in names:
        tree, named = with_name(tree, descriptor, name), True
    entries, digest = _entries(tree), str(descriptor.digest)
    if below := set(children) - {descriptor.digest}:
        entries = [e for e in entries if not (e["digest"] in below and _is_bare(e))]
    if not named and all(e["digest"] != digest for e in entries):
        entries.append(_bare(descriptor))
    return _with(tree, entries)


def without_digests(
    tree: Tree, digests: Container[str], *, keep: Iterable[Descriptor] = ()
) -> Tree:
    """Take away all entries of some documents, whatever their names.

    Listed instead, if they are not, are those to `keep`, which were reachable through them (C-36).
    """
    tree = _with(tree, [e for e in _entries(tree) if e["digest"] not in digests])
    for descriptor in keep:
        tree = with_document(tree, descriptor)
    return tree


def _holders(entries: list[Entry], name: str) -> list[Entry]:
    one, other = _NAME_KEYS
    return [
        entry
        for entry in entries
        if (notes := entry.get("annotations"))
        and (notes.get(one) == name or notes.get(other) == name)
    ]


def _drop_name(entries: list[Entry], holders: list[Entry], name: str) -> list[Entry]:
    if not holders:
        return entries
    dropped = set(map(id, holders))
    kept = [entry for entry in entries if id(entry) not in dropped]
    for entry in holders:
        stripped = _without_name(entry, name)
        if _names(stripped) or all(e["digest"] != entry["digest"] for e in kept):
            kept.append(stripped)
    return kept


def _without_name(entry: Entry, name: str) -> Entry:
    notes = _notes(entry)
    kept = {k: v for k, v in notes.items() if not (k in _NAME_KEYS and v == name)}
    rest = {k: v for k, v in entry.items() if k != "annotations"}
    return {**rest, "annotations": kept} if kept else rest


def _entries(tree: Tree) -> list[Entry]:
    return list(tree["manifests"])


def _with(tree: Tree, entries: list[Entry]) -> Tree:
    return tree if entries == tree["manifests"] else {**tree, "manifests": entries}


def _bare(descriptor: Descriptor) -> Entry:
    return {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }


def _is_bare(entry: Entry) -> bool:
    return _BARE.issuperset(key for key, value in entry.items() if value)


def _names(entry: Entry) -> list[str]:
    notes = _notes(entry)
    return [notes[key] for key in _NAME_KEYS if key in notes]


def _ref_name(entry: Entry) -> str | None:
    return _notes(entry).get(annotations.REF_NAME)


def _notes(entry: Entry) -> dict[str, str]:
    return entry.get("annotations") or {}


def _order(entry: Entry) -> tuple[bool, list[str], str]:
    names = _names(entry)
    return (not names, names, entry["digest"])
