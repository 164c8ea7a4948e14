"""The two formats of packages: what surrounds the layer; pure (ocipkg.md section 4).

V1 is an artifact with types of its own, which ocipkg 0.3 and later write. V0 is an ordinary image,
which ocipkg 0.1 and 0.2 read too, and every container engine.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from ..errors import InvalidArgumentError, UnsupportedError
from ..native import LinkMetadata
from ..spec import Descriptor, Digest, Manifest, Platform, media_types
from ..spec import annotations as keys
from ..spec.decoding import encode_json
from .compress import Algorithm

PackageFormat = Literal["ocipkg-v1", "ocipkg-v0"]
"""What ocipkg 0.3 and later write and read, or what ocipkg 0.1 and later read."""

# RFC 3339, which Go's time.Time requires of an image config.
_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a package's config and manifest are made of.

    Attributes:
        layer: descriptor of the layer.
        diff_id: digest of the layer's tar.
        top_level: names at the top of the tar.
        annotations: of the package.
        platform: what it is for, or None.
        link: how it wants to be linked, or None.
        created_s: when it was made, in seconds since 1970, where that is part of the input.
    """

    layer: Descriptor
    diff_id: Digest
    top_level: list[str]
    annotations: dict[str, str]
    platform: Platform | None = None
    link: LinkMetadata | None = None
    created_s: int | None = None


def layer_type(package_format: PackageFormat, algorithm: Algorithm) -> str:
    """Return the media type of the layer.

    Raises:
        InvalidArgumentError: there is no such format.
        UnsupportedError: readers of the format do not know the compression.
    """
    if package_format not in get_args(PackageFormat):
        raise InvalidArgumentError(
            f"{package_format!r} is not a format of packages",
            hint=f"there are {', '.join(get_args(PackageFormat))}",
        )
    if algorithm == "none":
        raise UnsupportedError(
            "a package has no uncompressed form", hint="use gzip with level 0, or zstd"
        )
    if package_format == "ocipkg-v0":
        if algorithm != "gzip":
            raise UnsupportedError(
                f"no ocipkg reads a package of format ocipkg-v0 compressed with {algorithm}",
                hint="use gzip, or the format ocipkg-v1",
            )
        return media_types.OCI_LAYER_TAR_GZIP
    if algorithm == "zstd":
        return media_types.OCIPKG_LAYER_TAR_ZSTD
    return media_types.OCIPKG_LAYER_TAR_GZIP


def check_options(
    package_format: PackageFormat, annotations: dict[str, str], link: LinkMetadata | None
) -> None:
    """Check what can be checked before anything is read.

    Raises:
        InvalidArgumentError: the format has no place for something, or a time is none.
    """
    if package_format != "ocipkg-v0":
        return
    if link is not None:
        raise InvalidArgumentError(
            "a package of format ocipkg-v0 has no place for how it is linked",
            hint="use the format ocipkg-v1, or leave out the link metadata",
        )
    created = annotations.get(keys.CREATED)
    if created is not None and not _is_time(created):
        raise InvalidArgumentError(
            f"the annotation {keys.CREATED} is {created[:60]!r}, which is no time",
            hint="write it as 2024-05-17T12:00:00Z",
        )


def config_of(package_format: PackageFormat, contents: Contents) -> tuple[bytes, Descriptor]:
    """Return the config and its descriptor."""
    if package_format == "ocipkg-v0":
        config = encode_json(_image_config(contents))
        return config, Descriptor.of(config, media_types.OCI_CONFIG)
    config = encode_json(_ocipkg_config(contents))
    return config, Descriptor.of(config, media_types.OCIPKG_CONFIG)


def manifest_of(package_format: PackageFormat, contents: Contents, config: Descriptor) -> Manifest:
    """Return the manifest."""
    layers = (contents.layer.plain(),)
    if package_format == "ocipkg-v0":
        # Its annotations are labels of the config.
        return Manifest.build(config=config, layers=layers)
    return Manifest.build(
        artifact_type=media_types.OCIPKG_ARTIFACT,
        config=config,
        layers=layers,
        annotations=contents.annotations,
    )


def _ocipkg_config(contents: Contents) -> dict[str, Any]:
    layer = contents.layer.digest
    config: dict[str, Any] = {
        "layers": {layer: contents.top_level},
        # Ours, as all that follows; ocipkg ignores it. The digest of the tar identifies the content
        # however it is compressed.
        "diffIds": {layer: contents.diff_id},
    }
    if contents.platform is not None:
        config["platform"] = contents.platform
    if contents.link is not None and contents.link != LinkMetadata():
        config["link"] = contents.link
    return config


def _image_config(contents: Contents) -> dict[str, Any]:
    platform = contents.platform or Platform.host()
    notes = contents.annotations
    config: dict[str, Any] = {}
    if keys.CREATED in notes:
        config["created"] = notes[keys.CREATED]
    elif contents.created_s is not None:
        at = datetime.fromtimestamp(contents.created_s, UTC)
        config["created"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    if keys.AUTHORS in notes:
        config["author"] = notes[keys.AUTHORS]
    config["architecture"] = platform.architecture
    config["os"] = platform.os
    if platform.os_version:
        config["os.version"] = platform.os_version
    if platform.os_features:
        config["os.features"] = platform.os_features
    if platform.variant:
        config["variant"] = platform.variant
    config["config"] = {"Labels": dict(sorted(notes.items()))}
    config["rootfs"] = {"type": "layers", "diff_ids": [contents.diff_id]}
    config["history"] = []
    return config


def _is_time(text: str) -> bool:
    if not _TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        return False
    return True
