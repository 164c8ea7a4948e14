"""Which helper a credential file names for a registry. Pure functions on parsed JSON."""

from ...errors import CredentialError
from ...spec.reference import DOCKER_HUB
from .docker_config import (
    DOCKER_HUB_KEY,
    FileKind,
    Json,
    json_object,
    key_registry,
    registry_key,
    whole_registry_keys,
)


def helper_name(config: Json, kind: FileKind, registry: str, *, where: str) -> str | None:
    """Return the helper that a file names for a registry, or None (A-42, A-49).

    An empty name in ``credHelpers`` takes the registry out of ``credsStore``, as Docker has it.

    Raises:
        CredentialError: the settings have the wrong type.
    """
    if kind == "dockercfg":
        return None
    chosen = json_object(config, "credHelpers", where=where)
    keys = whole_registry_keys(chosen, kind, registry)
    if keys:
        return _name(chosen[keys[0]], "credHelpers", where=where)
    return default_helper(config, kind, where=where)


def default_helper(config: Json, kind: FileKind, *, where: str) -> str | None:
    """Return the helper in ``credsStore``, which only Docker's own file has (A-49).

    Raises:
        CredentialError: the setting has the wrong type.
    """
    return _name(config.get("credsStore"), "credsStore", where=where) if kind == "docker" else None


def helper_registries(config: Json, kind: FileKind, *, where: str) -> dict[str, str]:
    """Return the registries in ``credHelpers`` with the helper of each.

    Raises:
        CredentialError: the settings have the wrong type.
    """
    if kind == "dockercfg":
        return {}
    result: dict[str, str] = {}
    for key in json_object(config, "credHelpers", where=where):
        registry = key_registry(key, kind)
        helper = registry and helper_name(config, kind, registry, where=where)
        if registry and helper:
            result[registry] = helper
    return result


def helper_addresses(registry: str, kind: FileKind) -> tuple[str, ...]:
    """Return the addresses under which a helper may know a registry, the usual one first (A-43).

    Podman calls Docker Hub ``docker.io`` where Docker uses its old address.
    """
    if registry == DOCKER_HUB and kind == "containers":
        return (DOCKER_HUB, DOCKER_HUB_KEY)
    return (registry_key(registry, kind),)


def _name(value: object, field: str, *, where: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise CredentialError(f"{field} in {where} is not the name of a helper")
    return value or None
