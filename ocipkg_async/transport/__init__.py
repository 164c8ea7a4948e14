"""HTTP for clients of registries: one request's life, authentication, credentials."""

from .auth.scope import Scope
from .credentials.model import Credential, CredentialProvider
from .headers import Headers
from .options import USER_AGENT, TransportOptions
from .request import Body, BodyStream, Request
from .response import Response, ResponseBody
from .retry import RetryPolicy
from .session import Transport
from .urls import join_location, redacted, same_origin

__all__ = [
    "USER_AGENT",
    "Body",
    "BodyStream",
    "Credential",
    "CredentialProvider",
    "Headers",
    "Request",
    "Response",
    "ResponseBody",
    "RetryPolicy",
    "Scope",
    "Transport",
    "TransportOptions",
    "join_location",
    "redacted",
    "same_origin",
]
