"""What a credential file says: keys and entries. Pure functions on parsed JSON.

The format is that of Docker's ``config.json`` (A-40 to A-45); podman's ``auth.json`` and the old
``.dockercfg`` differ in what `FileKind` tells. Documents are not validated as a whole: a bad
entry is an error for whoever needs that entry and for nobody else.
"""

import base64
import binascii
from collections.abc import Iterator
from typing import Any, Literal, cast

from ...errors import CredentialError, InvalidArgumentError
from ...spec.reference import DOCKER_HUB, parse_domain
from .model import Credential

FileKind = Literal["docker", "containers", "dockercfg"]
"""Docker's ``config.json``, podman's ``auth.json``, or the flat ``.dockercfg``."""

Json = dict[str, Any]

DOCKER_HUB_KEY = "https://index.docker.io/v1/"
"""What Docker calls its own registry in files and to helpers (A-43)."""
_DOCKER_HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
# What follows the host in keys that old clients wrote; anything else is a repository.
_API_PATHS = frozenset({"", "v1", "v1/", "v2", "v2/"})
_SECRET_FIELDS = ("auth", "username", "password", "identitytoken", "registrytoken")


def registry_name(registry: str) -> str:
    """Return the name under which a registry is looked up: lower case, Docker Hub folded.

    Raises:
        InvalidReferenceError: it is not ``host[:port]``.
    """
    name = parse_domain(registry).lower()
    return DOCKER_HUB if name in _DOCKER_HUB_NAMES else name


def registry_key(registry: str, kind: FileKind) -> str:
    """Return the key of a registry's entry, as the programs that own such files write it."""
    return DOCKER_HUB_KEY if registry == DOCKER_HUB and kind != "containers" else registry


def key_registry(key: str, kind: FileKind) -> str | None:
    """Return the registry that a key means as a whole; None for a key of some repositories.

    A scheme, and the path after it, are leftovers of old clients (A-44). A path without a scheme
    names repositories (A-48), unless it is an API path in a file that knows no such keys.
    """
    rest = key.lower().removeprefix("https://").removeprefix("http://")
    host, slash, path = rest.partition("/")
    had_scheme = len(rest) != len(key)
    if "@" in host or not host:
        return None
    if slash and not had_scheme and (kind == "containers" or path not in _API_PATHS):
        return None
    return DOCKER_HUB if host in _DOCKER_HUB_NAMES else host


def auths(config: Json, kind: FileKind, *, where: str) -> Json:
    """Return the entries of a document by their keys.

    Raises:
        CredentialError: they are not an object.
    """
    return config if kind == "dockercfg" else json_object(config, "auths", where=where)


def find_credential(
    config: Json, kind: FileKind, registry: str, repository: str | None = None, *, where: str
) -> Credential | None:
    """Return what a file says about a repository, the closest key first (A-44, A-48).

    Args:
        config: the parsed file.
        kind: what sort of file it is.
        registry: a name from `registry_name`.
        repository: path below the registry.
        where: the file's name, for errors.

    Raises:
        CredentialError: the entry cannot be decoded.
    """
    entries = auths(config, kind, where=where)
    for key in _candidates(entries, kind, registry, repository):
        credential = decode_entry(entries[key], what=f"the entry for {registry} in {where}")
        if credential is not None:
            return credential
    return None


def _candidates(
    entries: Json, kind: FileKind, registry: str, repository: str | None
) -> Iterator[str]:
    scope = repository or ""
    while scope:
        if f"{registry}/{scope}" in entries:
            yield f"{registry}/{scope}"
        scope = scope.rpartition("/")[0]
    yield from whole_registry_keys(entries, kind, registry)


def whole_registry_keys(entries: Json, kind: FileKind, registry: str) -> list[str]:
    """Return every key that means the whole registry, the exact one first."""
    exact = registry_key(registry, kind)
    keys = [key for key in entries if key_registry(key, kind) == registry]
    return sorted(keys, key=lambda key: (key != exact, key != registry))


def decode_entry(entry: object, *, what: str) -> Credential | None:
    """Return the credential in an entry; None for one that only marks that a helper has it (A-41).

    Args:
        entry: the value behind a key.
        what: what it is, for errors; never shows the value.

    Raises:
        CredentialError: its fields are not text, or ``auth`` is not base64 of ``user:password``.
    """
    if not isinstance(entry, dict):
        raise CredentialError(f"{what} is not a JSON object", hint="log in again")
    given = cast("Json", entry)
    fields = {name: given.get(name) or "" for name in _SECRET_FIELDS}
    wrong = next((name for name, value in fields.items() if not isinstance(value, str)), None)
    if wrong is not None:
        raise CredentialError(f"{what}: {wrong} is not text", hint="log in again")
    username, password = fields["username"], fields["password"]
    if fields["auth"]:
        pair = _decode_auth(fields["auth"])
        if pair is None:
            raise CredentialError(
                f"{what}: auth is not base64 of user:password", hint="log in again"
            )
        username, password = pair
    credential = Credential(
        username=username,
        password=password,
        identity_token=fields["identitytoken"],
        registry_token=fields["registrytoken"],
    )
    return credential if credential != Credential() else None


def _decode_auth(text: str) -> tuple[str, str] | None:
    try:
        pair = base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        return None  # without the exception: it holds the bytes
    username, colon, password = pair.partition(":")
    return (username, password.rstrip("\0")) if colon else None


def encode_entry(credential: Credential) -> dict[str, str]:
    """Return the fields of an entry; a credential without any secret gives none.

    Raises:
        InvalidArgumentError: a user name or password that other programs could not read back.
    """
    user, password = credential.username, credential.password
    if ":" in user or "\0" in user + password:
        raise InvalidArgumentError(
            "a user name with ':', or a NUL character, cannot be stored",
            hint="check what was typed as the user name",
        )
    if password and not user:
        raise InvalidArgumentError("a password needs a user name", hint="give the user name too")
    fields: dict[str, str] = {}
    if user:
        fields["auth"] = base64.b64encode(f"{user}:{password}".encode()).decode()
    if credential.identity_token:
        fields["identitytoken"] = credential.identity_token
    if credential.registry_token:
        fields["registrytoken"] = credential.registry_token
    return fields


def with_entry(
    config: Json, kind: FileKind, registry: str, credential: Credential | None, *, where: str
) -> Json:
    """Return the document with one entry for a registry, and everything else as it was.

    Other spellings of the same registry go, so that no old secret is left or found.

    Args:
        config: the parsed file.
        kind: what sort of file it is.
        registry: a name from `registry_name`.
        credential: what to store; None leaves the empty entry that marks what a helper has.
        where: the file's name, for errors.

    Raises:
        CredentialError: the file's entries are not an object.
        InvalidArgumentError: the credential cannot be stored.
    """
    key = registry_key(registry, kind)
    entries = dict(auths(config, kind, where=where))
    old = entries.get(key)
    fields = cast("Json", old) if isinstance(old, dict) else {}
    kept = {name: value for name, value in fields.items() if name not in _SECRET_FIELDS}
    for other in whole_registry_keys(entries, kind, registry):
        if other != key:
            del entries[other]
    entries[key] = kept | (encode_entry(credential) if credential is not None else {})
    return _with_auths(config, kind, entries)


def without_entry(config: Json, kind: FileKind, registry: str, *, where: str) -> Json | None:
    """Return the document without any entry for a whole registry; None if there was none.

    Raises:
        CredentialError: the file's entries are not an object.
    """
    entries = dict(auths(config, kind, where=where))
    keys = whole_registry_keys(entries, kind, registry)
    for key in keys:
        del entries[key]
    return _with_auths(config, kind, entries) if keys else None


def _with_auths(config: Json, kind: FileKind, entries: Json) -> Json:
    return entries if kind == "dockercfg" else {**config, "auths": entries}


def check_variable(config: Json, *, where: str) -> Json:
    """Return what ``DOCKER_AUTH_CONFIG`` holds, if it is only what may stand there (A-45).

    Raises:
        CredentialError: there is more than ``auths`` with ``auth``.
    """
    hint = 'it takes {"auths": {"<registry>": {"auth": "<base64 of user:password>"}}} only'
    if config.keys() - {"auths"}:
        raise CredentialError(f"{where} has fields beside auths", hint=hint)
    for entry in auths(config, "docker", where=where).values():
        if isinstance(entry, dict) and entry.keys() - {"auth"}:
            raise CredentialError(f"{where} has an entry with fields beside auth", hint=hint)
    return config


def json_object(config: Json, name: str, *, where: str) -> Json:
    """Return the object behind a name; an empty one if there is none.

    Raises:
        CredentialError: something else is there.
    """
    value = config.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CredentialError(f"{name} in {where} is not a JSON object", hint="repair the file")
    return cast("Json", value)
