"""Whether a single manifest is for the platform that was asked for, as its config says."""

import msgspec

from ..content import Fetcher, fetch_bytes
from ..errors import IntegrityError, InvalidDocumentError, LimitExceededError, NotFoundError
from ..native import packed_platform
from ..spec import Manifest, Platform, media_types
from ..spec.decoding import convert, decode_json
from ..spec.platform import select


class _Image(msgspec.Struct):
    architecture: str = ""
    os: str = ""
    variant: str = ""


async def platform_doubt(fetcher: Fetcher, manifest: Manifest, wanted: Platform) -> str | None:
    """Return what speaks against a manifest that no index says the platform of, or None.

    Raises:
        RegistryError, TransportError, StorageError: its config cannot be read.
    """
    try:
        found = await _platform_of(fetcher, manifest)
    except (IntegrityError, InvalidDocumentError, LimitExceededError, NotFoundError) as error:
        # Whoever needs the config fails on this; who asked does not.
        return f"this is no index, and its config does not say whether it is for {wanted}: {error}"
    if found is None:
        return f"this is no index, and does not say whether it is for {wanted}"
    if select(wanted, [found]) is None:
        return f"this is no index, and for {found}, not for {wanted}"
    return None


async def _platform_of(fetcher: Fetcher, manifest: Manifest) -> Platform | None:
    config = manifest.config
    if config is None:
        return None
    if config.media_type == media_types.OCIPKG_CONFIG:
        return packed_platform(await fetch_bytes(fetcher, config))
    if config.media_type not in {media_types.OCI_CONFIG, media_types.DOCKER_CONFIG}:
        return None
    raw = await fetch_bytes(fetcher, config)
    image = convert(decode_json(raw, what="image config"), _Image, what="image config")
    if not image.os or not image.architecture:
        return None
    return Platform(
        os=image.os, architecture=image.architecture, variant=image.variant
    ).normalised()
