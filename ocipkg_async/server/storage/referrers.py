"""Which manifests refer to a subject, as the referrers API answers it (D-82 to D-87, C-37)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from ...spec import Descriptor, Digest, Index
from ...spec.decoding import encode_json

MAX_PAGE_BYTES = 3 << 20
"""Longest page: clients read documents up to 4 MiB (S-02)."""


@dataclass(frozen=True, slots=True)
class ReferrersPage:
    """One answer.

    Attributes:
        body: an image index.
        link: value of the ``Link`` header, or None on the last page.
    """

    body: bytes
    link: str | None


def fallback_tag(subject: Digest) -> str:
    """Return the tag under which clients list referrers where there is no API (D-90)."""
    algorithm = "".join(c if c.isalnum() else "-" for c in subject.algorithm)[:32]
    return f"{algorithm}-{subject.encoded[:64]}"


def merged(
    found: Iterable[Descriptor], listed: Iterable[Descriptor], *, artifact_type: str | None
) -> list[Descriptor]:
    """Join manifests that name the subject with those listed under its fallback tag.

    Sorted by digest, each digest once; of one artifact type if given.
    """
    by_digest = {one.digest: one for one in listed}
    by_digest.update({one.digest: one for one in found})
    return [
        one
        for _, one in sorted(by_digest.items())
        if artifact_type is None or one.artifact_type == artifact_type
    ]


def page_of_referrers(
    referrers: Sequence[Descriptor],
    *,
    path: str,
    last: str | None,
    artifact_type: str | None,
    max_entries: int,
) -> ReferrersPage:
    """Cut one page out of `referrers`, which are sorted by digest.

    Args:
        referrers: the whole list, filtered.
        path: path of the list, for the link.
        last: the page starts behind this digest.
        artifact_type: the filter, which the link repeats.
        max_entries: longest page.
    """
    rest = [one for one in referrers if last is None or one.digest > last]
    size, count = 0, 0
    for one in rest[:max_entries]:
        size += len(encode_json(one))
        if count and size > MAX_PAGE_BYTES:
            break
        count += 1
    body = Index.build(manifests=tuple(rest[:count])).raw
    if count == len(rest):
        return ReferrersPage(body, None)
    query = f"last={quote(rest[count - 1].digest, safe='')}"
    if artifact_type is not None:
        query += f"&artifactType={quote(artifact_type, safe='')}"
    return ReferrersPage(body, f'<{path}?{query}>; rel="next"')
