"""Credentials for registries: Docker's and podman's files, helper programs, values at hand."""

from .docker_config import DOCKER_HUB_KEY
from .files import CredentialFiles
from .helper_program import HelperProgram
from .memory import FixedCredential, StaticCredentials, first_of
from .model import Credential, CredentialProvider

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
