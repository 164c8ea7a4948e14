"""What stands in an index of several packages: entries, the platform of each, and no two for one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from ..errors import InvalidArgumentError
from ..spec import Descriptor, Digest, Platform, media_types
from ..spec.decoding import convert, decode_json

# BuildKit keeps what it says of an image as a further entry, which names the image by digest.
_ATTESTED = "vnd.docker.reference.digest"
_UNKNOWN = "unknown"

PlatformKey = tuple[str, str, str, str, tuple[str, ...]]


class _PackageConfig(msgspec.Struct, frozen=True):
    platform: Platform | None = None


class _ImageConfig(msgspec.Struct, frozen=True):
    os: str = ""
    architecture: str = ""
    variant: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: tuple[str, ...] = msgspec.field(default=(), name="os.features")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPart:
    """What one source adds to an index.

    Attributes:
        label: what the user calls the source.
        entries: manifests, each with its platform.
        replaceable: whether the source is an index, whose entries a later source may replace.
    """

    label: str
    entries: tuple[Descriptor, ...]
    replaceable: bool = False


_Placed = dict[PlatformKey | Digest, tuple[Descriptor, IndexPart]]


def index_entry(
    manifest: Descriptor, platform: Platform, *, artifact_type: str | None = None
) -> Descriptor:
    """Return the entry of a manifest in an index."""
    return msgspec.structs.replace(
        manifest, platform=platform.normalised(), artifact_type=artifact_type
    )


def tells_platform(media_type: str) -> bool:
    """Whether a config of this type may say which platform its content is for."""
    return media_type in {
        media_types.OCIPKG_CONFIG,
        media_types.OCI_CONFIG,
        media_types.DOCKER_CONFIG,
    }


def config_platform(raw: bytes, media_type: str) -> Platform | None:
    """Return the platform that a config says, or None where it says none.

    Args:
        raw: a config whose type `tells_platform`.
        media_type: its type.

    Raises:
        InvalidDocumentError: it is not JSON, or a value has a wrong type.
    """
    tree = decode_json(raw, what="config")
    if media_type == media_types.OCIPKG_CONFIG:
        platform = convert(tree, _PackageConfig, what="config").platform
    else:
        config = convert(tree, _ImageConfig, what="config")
        platform = Platform(
            os=config.os,
            architecture=config.architecture,
            variant=config.variant,
            os_version=config.os_version,
            os_features=config.os_features,
        )
    if platform is None or {platform.os, platform.architecture} & {"", _UNKNOWN}:
        return None
    return platform.normalised()


def is_attestation(entry: Descriptor) -> bool:
    """Whether an entry is something about another one, which no platform ever gets (I-74)."""
    platform = entry.platform
    return platform is not None and (platform.os, platform.architecture) == (_UNKNOWN, _UNKNOWN)


def same_platform(one: Platform, other: Platform) -> bool:
    """Whether two platforms are one, however they are written; versions of the system do not count."""
    return _key(one)[:3] == _key(other)[:3]


def arrange(parts: Sequence[IndexPart]) -> tuple[Descriptor, ...]:
    """Return the entries of an index, in the order of their sources.

    A source that is one package takes the place of the entry for its platform that an index
    before it has: so a new package is put into an index that exists. What that index says about
    the replaced entry goes with it.

    Raises:
        InvalidArgumentError: there is nothing, or two sources for one platform; or an entry has no
            platform.
    """
    placed: _Placed = {}
    for part in parts:
        for entry in part.entries:
            key = _place(entry, part)
            before = placed.get(key)
            if before is not None and before[0].digest == entry.digest and part.replaceable:
                continue  # the same package once more
            if before is not None and before[0].digest != entry.digest:
                if part.replaceable or not before[1].replaceable:
                    raise _twice(entry, before[1], part)
                _drop_attestations(placed, before[0].digest)
            placed[key] = (entry, part)
    if not placed:
        raise InvalidArgumentError(
            "an index of nothing is of no use", hint="give a package for each platform"
        )
    return tuple(entry for entry, _ in placed.values())


def common_artifact_type(entries: Iterable[Descriptor]) -> str | None:
    """Return the artifact type that all entries have, or None."""
    types = {entry.artifact_type for entry in entries if not is_attestation(entry)}
    return types.pop() if len(types) == 1 else None


def _key(platform: Platform) -> PlatformKey:
    normal = platform.normalised()
    return (
        normal.os,
        normal.architecture,
        normal.variant,
        normal.os_version,
        tuple(sorted(normal.os_features)),
    )


def _place(entry: Descriptor, part: IndexPart) -> PlatformKey | Digest:
    if is_attestation(entry):
        return entry.digest
    if entry.platform is None:
        raise InvalidArgumentError(
            f"{part.label} does not say which platform it is for",
            hint=f"say it: linux/amd64={part.label}",
        )
    return _key(entry.platform)


def _twice(entry: Descriptor, first: IndexPart, second: IndexPart) -> InvalidArgumentError:
    names = first.label if first is second else f"{first.label} and {second.label}"
    if first is second:
        hint = "choose one by its digest"
    elif second.replaceable:
        hint = (
            f"write the index first to replace its own, or take one of it: PLATFORM={second.label}"
        )
    else:
        hint = "leave one out, or say what each is for: linux/arm64=TARGET"
    return InvalidArgumentError(f"there are two packages for {entry.platform}: {names}", hint=hint)


def _drop_attestations(placed: _Placed, subject: Digest) -> None:
    about = [
        key
        for key, (entry, _) in placed.items()
        if is_attestation(entry) and (entry.annotations or {}).get(_ATTESTED) == subject
    ]
    for key in about:
        del placed[key]
