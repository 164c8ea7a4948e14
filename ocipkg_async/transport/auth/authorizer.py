"""What to put into the Authorization header, before a request and after a 401.

A registry's challenge is remembered, so the next request carries its token from the start: a
body that can be sent only once then need not be sent twice.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from ...errors import RegistryError, UnauthorizedError
from ..credentials.model import Credential, CredentialProvider
from ..headers import Headers
from ..urls import Origin, origin_of
from .cache import SingleFlight, TokenCache, TokenKey
from .challenge import Challenge, parse_challenges
from .need import Need
from .realm import check_realm
from .refused import Refusals, advice
from .scope import Scope, arrange, cover, merge, parse_scopes
from .token import Token, TokenRequest, basic, get_request, parse_token, post_request

_REFUSED = frozenset({400, 401, 403})
"""How token servers say that a credential is wrong; some answer an unknown user with 400."""
_MAX_KEPT = 4096
"""Challenges and credentials, one for each repository; a mirror sees many, all can be had again."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """An Authorization header, and where it is from.

    Attributes:
        header: its value; empty is none, because of a refusal.
        scopes: what its token was asked for.
        fresh: it was fetched for this request; a refusal of it is final, unless the registry names
            further scopes.
        refusal: why the stored credential has no part in it, or empty.
    """

    header: str = field(repr=False)
    scopes: tuple[Scope, ...] = ()
    fresh: bool = True
    refusal: str = ""


Exchange = Callable[[TokenRequest, Need], Awaitable[tuple[bytes, Headers]]]
"""Sends a request to a token server; raises `OCIError`."""


class Authorizer:
    """Credentials, challenges and tokens of all registries of one client."""

    def __init__(
        self,
        *,
        exchange: Exchange,
        credentials: CredentialProvider | None = None,
        allowed_realms: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exchange = exchange
        self._provider = credentials
        self._allowed = allowed_realms
        self._clock = clock
        self._tokens = TokenCache(clock)
        self._flights = SingleFlight()
        self._challenges: dict[tuple[Origin, str | None], Challenge] = {}
        self._credentials: dict[tuple[str, str | None], Credential | None] = {}
        self._refusals = Refusals()
        self._refresh: dict[tuple[Origin, Credential], str] = {}

    async def current(self, need: Need) -> Authorization | None:
        """Return what is to be sent with a request's first try, or None: nothing is known yet.

        Raises:
            OCIError: a token is needed and cannot be had.
        """
        challenge = self._challenges.get((need.origin, need.repository)) or self._challenges.get(
            (need.origin, None)
        )
        return await self._authorize(need, challenge) if challenge else None

    async def renew(
        self, need: Need, sent: Authorization | None, challenges: Sequence[str]
    ) -> Authorization | None:
        """Return what is to be sent after a 401, or None: nothing else can be tried.

        Args:
            need: what the request wants.
            sent: what was sent with it.
            challenges: the WWW-Authenticate headers.

        Raises:
            OCIError: a token is needed and cannot be had.
        """
        challenge = choose(parse_challenges(challenges))
        if challenge is None:
            return None
        self._remember(need, challenge)
        asked = parse_scopes(challenge.parameters.get("scope", ""))
        if sent is not None:
            if sent.refusal:
                self._forget_credential(need)  # it may have been replaced
            known = await self._refuse_sent(need, sent)
            if sent.header.startswith("Bearer ") and not known:
                if sent.fresh and cover(sent.scopes, (*asked, *need.scopes)):
                    return None
                self._tokens.drop(sent.header.removeprefix("Bearer "))
                asked = (*asked, *sent.scopes)  # never ask for less than before
        new = await self._authorize(need, challenge, asked)
        return None if new and sent and new.header == sent.header else new

    async def _refuse_sent(self, need: Need, sent: Authorization) -> bool:
        """Remember the credential that was in a refused header, if one was, and read it again."""
        credential = await self._credential(need)
        if credential is None or not _shows(sent.header, credential):
            return False
        reason = f"{need.registry} refused the stored credential"
        self._remember_refusal(need, credential, reason, everywhere=False)
        return True

    def _refusal(self, need: Need, credential: Credential | None) -> str:
        return self._refusals.reason(need, credential, now_s=self._clock())

    def _remember_refusal(
        self, need: Need, credential: Credential, reason: str, *, everywhere: bool
    ) -> None:
        self._refusals.remember(
            need, credential, reason, everywhere=everywhere, now_s=self._clock()
        )
        self._forget_credential(need)

    def _remember(self, need: Need, challenge: Challenge) -> None:
        if len(self._challenges) >= _MAX_KEPT:
            self._challenges.clear()
        self._challenges[need.origin, need.repository] = challenge
        self._challenges[need.origin, None] = challenge

    def _forget_credential(self, need: Need) -> None:
        self._credentials.pop((need.registry, need.repository), None)

    async def _authorize(
        self, need: Need, challenge: Challenge, asked: tuple[Scope, ...] = ()
    ) -> Authorization | None:
        credential = await self._credential(need)
        refusal = self._refusal(need, credential)
        if credential is not None and credential.registry_token and not refusal:
            return Authorization(f"Bearer {credential.registry_token}", need.scopes)
        if challenge.scheme != "basic":
            return await self._bearer(need, challenge, credential, asked)
        if refusal:
            return Authorization("", refusal=refusal)
        if credential is None or not credential.username:
            return None
        return Authorization(basic(credential))

    async def _credential(self, need: Need) -> Credential | None:
        if self._provider is None:
            return None
        key = (need.registry, need.repository)
        if key not in self._credentials:
            found = await self._provider.get(need.registry, need.repository)
            if len(self._credentials) >= _MAX_KEPT:
                self._credentials.clear()
            self._credentials[key] = found if found != Credential() else None
        return self._credentials[key]

    async def _bearer(
        self,
        need: Need,
        challenge: Challenge,
        credential: Credential | None,
        asked: tuple[Scope, ...],
    ) -> Authorization:
        """Get a token with the credential; where that is refused and all is to be read, without."""
        refusal = self._refusal(need, credential)
        refused: RegistryError | None = None
        if credential is not None and not refusal:
            try:
                return await self._token(need, challenge, credential, asked)
            except RegistryError as error:
                if error.status not in _REFUSED:
                    raise
                refused = error
            self._refuse(need, challenge, credential, refused)
            refusal = self._refusal(need, credential)
        try:
            found = await self._token(need, challenge, None, asked)
        except RegistryError as error:
            if not refusal or error.status not in _REFUSED:
                raise
            why = f"{refusal} ({refused})" if refused else refusal
            raise _unauthorized(need, f"{why}, and without it: {error}", error) from refused
        return replace(found, refusal=refusal)

    def _refuse(
        self, need: Need, challenge: Challenge, credential: Credential, error: RegistryError
    ) -> None:
        """Remember what the token server refused; raise where it cannot be done without."""
        server = origin_of(challenge.parameters["realm"]).netloc
        reason = f"the token server {server} refused the stored credential of {need.registry}"
        # 401 means the user; the others may mean what was asked for.
        self._remember_refusal(need, credential, reason, everywhere=error.status == 401)
        if not need.only_reads:
            raise _unauthorized(need, f"{reason}: {error}", error) from error

    async def _token(
        self,
        need: Need,
        challenge: Challenge,
        credential: Credential | None,
        asked: tuple[Scope, ...],
    ) -> Authorization:
        scopes = merge(asked, need.scopes)
        key = TokenKey(
            need.origin,
            challenge.parameters["realm"],
            challenge.parameters.get("service", ""),
            credential,
            scopes,
        )
        token = self._tokens.find(key)
        if token is not None:
            return Authorization(f"Bearer {token.value}", scopes, fresh=False)
        first = (*asked, *need.scopes)
        token = await self._flights.run(key, lambda: self._fetch(key, need, first))
        return Authorization(f"Bearer {token.value}", scopes)

    async def _fetch(self, key: TokenKey, need: Need, first: tuple[Scope, ...]) -> Token:
        token = self._tokens.find(key)  # another flight may have brought one that covers this
        if token is None:
            token = await self._ask(key, need, arrange(key.scopes, first=first))
            self._tokens.keep(key, token)
        return token

    async def _ask(self, key: TokenKey, need: Need, scopes: tuple[Scope, ...]) -> Token:
        credential = key.credential
        origin = check_realm(
            key.realm,
            registry=need.origin,
            allowed=self._allowed,
            credentials=credential is not None,
        )
        request = self._request(key, scopes)
        try:
            body, headers = await self._exchange(request, need)
        except RegistryError as error:
            usable = credential is not None and credential.password
            if request.method == "GET" or error.status not in {404, 405} or not usable:
                raise
            request = get_request(
                key.realm, service=key.service, scopes=scopes, credential=credential
            )
            body, headers = await self._exchange(request, need)
        token = parse_token(body, server=origin.netloc, date=headers.get("Date"))
        if credential is not None and credential.identity_token and token.refresh_token:
            self._refresh[need.origin, credential] = token.refresh_token
        return token

    def _request(self, key: TokenKey, scopes: tuple[Scope, ...]) -> TokenRequest:
        credential = key.credential
        if credential is not None and credential.identity_token:
            refresh = self._refresh.get((key.registry, credential), credential.identity_token)
            return post_request(
                key.realm, service=key.service, scopes=scopes, refresh_token=refresh
            )
        return get_request(key.realm, service=key.service, scopes=scopes, credential=credential)


def choose(challenges: Sequence[Challenge]) -> Challenge | None:
    """Return the challenge to answer: Bearer with a realm, then Basic, else None (A-04)."""
    for challenge in challenges:
        if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
            return challenge
    return next((one for one in challenges if one.scheme == "basic"), None)


def _shows(header: str, credential: Credential) -> bool:
    """Whether a header is the credential itself, and not a token that it brought."""
    if credential.registry_token:
        return header == f"Bearer {credential.registry_token}"
    return header.startswith("Basic ") and header == basic(credential)


def _unauthorized(need: Need, message: str, error: RegistryError) -> UnauthorizedError:
    return UnauthorizedError(
        message,
        status=error.status,
        method=error.method,
        url=error.url,
        details=error.details,
        hint=advice(need.registry),
    )
