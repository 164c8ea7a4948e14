"""Credentials for registries: Docker's and podman's files, helper programs, values at hand."""

from typing import TYPE_CHECKING

from ..._late import late_name

if TYPE_CHECKING:
    from .docker_config import DOCKER_HUB_KEY
    from .files import CredentialFiles
    from .helper_program import HelperProgram
    from .memory import FixedCredential, StaticCredentials, first_of
    from .model import Credential, CredentialProvider

# As in transport: the protocol of a provider loads no file, and no program that is asked.
_HOMES = {
    "Credential": "model",
    "CredentialFiles": "files",
    "CredentialProvider": "model",
    "DOCKER_HUB_KEY": "docker_config",
    "FixedCredential": "memory",
    "HelperProgram": "helper_program",
    "StaticCredentials": "memory",
    "first_of": "memory",
}

__all__ = [
    "DOCKER_HUB_KEY",
    "Credential",
    "CredentialFiles",
    "CredentialProvider",
    "FixedCredential",
    "HelperProgram",
    "StaticCredentials",
    "first_of",
]


def __getattr__(name: str) -> object:
    return late_name(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
