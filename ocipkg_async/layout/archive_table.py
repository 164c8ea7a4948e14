"""Which members of an archive are the parts of an image layout, and which archives are refused.

The rules are those of O-10: only regular files count; a link, a device or an odd name where the
layout's own files are is refused, since a program that unpacks the archive would follow it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..errors import InvalidDigestError, InvalidLayoutError, UnsupportedError
from ..spec import Digest
from ..spec.image_layout import BLOBS, INDEX, MARKER
from .tar_scan import Member

DOCKER_MANIFEST = "manifest.json"
_OWN = frozenset({INDEX, MARKER, DOCKER_MANIFEST})


@dataclass(frozen=True, slots=True)
class Table:
    """Where the parts of a layout are in an archive.

    Attributes:
        index: the member ``index.json``.
        marker: the member ``oci-layout``; ocipkg writes none since its version 0.3.
        blobs: the blobs by their digest, unverified.
    """

    index: Member
    marker: Member | None
    blobs: dict[Digest, Member] = field(repr=False)


def build(members: Iterable[Member], *, where: str) -> Table:
    """Sort the members of an archive.

    Args:
        members: all of them, in order.
        where: the archive, for errors.

    Raises:
        InvalidLayoutError: it is not an image layout, or breaks a rule of O-10.
        UnsupportedError: it is what ``docker save`` wrote before Docker 25.
    """
    own: dict[str, Member] = {}
    blobs: dict[Digest, Member] = {}
    for member in members:
        parts = _clean(member, where)
        if parts[:1] == (BLOBS,):
            _add_blob(blobs, parts, member, where)
        elif len(parts) == 1 and parts[0] in _OWN:
            if member.kind != "file":
                raise _refused(where, member, "it is not a regular file")
            if parts[0] in own:
                raise _refused(where, member, "it is there twice")
            own[parts[0]] = member
    if INDEX not in own:
        raise _no_index(where, docker=DOCKER_MANIFEST in own)
    return Table(own[INDEX], own.get(MARKER), blobs)


def is_layout_part(member: Member) -> bool:
    """Whether a member is one that only an image layout has. ``index.json`` alone says nothing."""
    parts = [part for part in member.name.split("/") if part not in {"", "."}]
    if parts == [MARKER]:
        return True
    if len(parts) != 3 or parts[0] != BLOBS:
        return False
    try:
        Digest(f"{parts[1]}:{parts[2]}")
    except InvalidDigestError:
        return False
    return True


def _clean(member: Member, where: str) -> tuple[str, ...]:
    """Return the parts of a member's name, without the ``.`` that some writers put in front."""
    name = member.name
    if "\0" in name or "\\" in name:
        raise _refused(where, member, "its name has a forbidden character")
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if name.startswith("/") or ".." in parts:
        raise _refused(where, member, "its name leads out of the archive")
    return parts


def _add_blob(
    blobs: dict[Digest, Member], parts: tuple[str, ...], member: Member, where: str
) -> None:
    if member.kind == "folder" or (member.kind == "file" and member.name.endswith("/")):
        return
    if member.kind != "file":
        raise _refused(where, member, "it is not a regular file")
    if len(parts) != 3:
        raise _refused(where, member, "a blob is called blobs/<algorithm>/<encoded>")
    try:
        digest = Digest(f"{parts[1]}:{parts[2]}")
    except InvalidDigestError as error:
        raise _refused(where, member, "its name is not a digest") from error
    # ocipkg stores a blob that is added twice twice; reading verifies whichever is taken.
    first = blobs.setdefault(digest, member)
    if first.size != member.size:
        raise _refused(where, member, "it is there twice, in two sizes")


def _refused(where: str, member: Member, reason: str) -> InvalidLayoutError:
    return InvalidLayoutError(
        f"{where} has a member {member.name[:200]!r} that is refused: {reason}",
        hint="do not unpack this archive; ask its author for another one",
    )


def _no_index(where: str, *, docker: bool) -> InvalidLayoutError | UnsupportedError:
    if docker:
        return UnsupportedError(
            f"{where} is a docker-archive, not an image layout",
            hint="convert it: skopeo copy docker-archive:FILE oci-archive:NEW.tar",
        )
    return InvalidLayoutError(
        f"{where} is not an oci-archive: it has no {INDEX}",
        hint="an oci-archive is a tar file of an image layout, as pack or skopeo writes it",
    )
