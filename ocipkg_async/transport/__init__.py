"""HTTP for clients of registries: one request's life, authentication, credentials."""

from typing import TYPE_CHECKING

from .._late import late_name

if TYPE_CHECKING:
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
    from .failure import failure_of
    from .headers import Headers
    from .options import USER_AGENT, TransportOptions
    from .redirect import check_place
    from .request import Body, BodyStream, Request
    from .response import Response, ResponseBody
    from .retry import RetryBudget, RetryPolicy
    from .session import Transport
    from .urls import join_location, redacted, same_origin

# What has no need of the HTTP library, such as options, can be had without it.
_HOMES = {
    "Body": "request",
    "BodyStream": "request",
    "Credential": "credentials",
    "CredentialFiles": "credentials",
    "CredentialProvider": "credentials",
    "FixedCredential": "credentials",
    "Headers": "headers",
    "HelperProgram": "credentials",
    "Request": "request",
    "Response": "response",
    "ResponseBody": "response",
    "RetryBudget": "retry",
    "RetryPolicy": "retry",
    "Scope": "auth.scope",
    "StaticCredentials": "credentials",
    "Transport": "session",
    "TransportOptions": "options",
    "USER_AGENT": "options",
    "check_place": "redirect",
    "failure_of": "failure",
    "first_of": "credentials",
    "join_location": "urls",
    "redacted": "urls",
    "same_origin": "urls",
}

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


def __getattr__(name: str) -> object:
    return late_name(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
