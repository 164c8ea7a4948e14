"""Whether a single manifest is for the platform that was asked for, as its config says."""

import msgspec

from ..content import Fetcher, fetch_bytes
from ..errors import InvalidDocumentError
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
        NotFoundError, IntegrityError, LimitExceededError: its config cannot be read.
        RegistryError, TransportError, StorageError: likewise.
    """
    found = await _platform_of(fetcher, manifest)
    if found is None:
        return f"this is no index, and does not say whether it is for {wanted}"
    if select(wanted, [found]) is None:
        return f"this is no index, and for {found}, not for {wanted}"
    return None


async def _platform_of(fetcher: Fetcher, manifest: Manifest) -> Platform | None:
    config = manifest.config
    if config is None:
        return None
    try:
        if config.media_type == media_types.OCIPKG_CONFIG:
            return packed_platform(await fetch_bytes(fetcher, config))
        if config.media_type in {media_types.OCI_CONFIG, media_types.DOCKER_CONFIG}:
            raw = await fetch_bytes(fetcher, config)
            image = convert(decode_json(raw, what="image config"), _Image, what="image config")
            if image.os and image.architecture:
                return Platform(
                    os=image.os, architecture=image.architecture, variant=image.variant
                ).normalised()
    except InvalidDocumentError:
        return None  # whoever needs the config says what is wrong with it
    return None
