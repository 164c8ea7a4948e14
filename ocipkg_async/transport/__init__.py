"""HTTP for clients of registries: one request's life, authentication, credentials."""

from .auth.scope import Scope
from .credentials import (
    Credential,
    CredentialFiles,
    CredentialProvider,
    FixedCredential,
    HelperProgram,
    StaticCredentials,
    first_of,
)
from .failures import failure_of
from .headers import Headers
from .options import USER_AGENT, TransportOptions
from .redirect import check_place
from .request import Body, BodyStream, Request
from .response import Response, ResponseBody
from .retry import RetryBudget, RetryPolicy
from .session import Transport
from .urls import join_location, redacted, same_origin

__all__ = [
    "USER_AGENT",
    "Body",
    "BodyStream",
    "Credential",
    "CredentialFiles",
    "CredentialProvider",
    "FixedCredential",
    "Headers",
    "HelperProgram",
    "Request",
    "Response",
    "ResponseBody",
    "RetryBudget",
    "RetryPolicy",
    "Scope",
    "StaticCredentials",
    "Transport",
    "TransportOptions",
    "check_place",
    "failure_of",
    "first_of",
    "join_location",
    "redacted",
    "same_origin",
]
