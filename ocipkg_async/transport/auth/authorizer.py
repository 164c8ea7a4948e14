"""What to put into the Authorization header, before a request and after a 401.

A registry's challenge is remembered, so the next request carries its token from the start: a
body that can be sent only once then need not be sent twice.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from ...errors import OCIError, RegistryError, UnauthorizedError
from ..credentials.model import Credential, CredentialProvider
from ..headers import Headers
from ..urls import Origin, origin_of
from .cache import SingleFlight, TokenCache, TokenKey
from .challenge import Challenge, parse_challenges
from .realm import check_realm
from .scope import Scope, arrange, cover, merge, parse_scopes
from .token import Token, TokenRequest, basic, get_request, parse_token, post_request

_REFUSED = frozenset({400, 401, 403})
"""How token servers say that a credential is wrong; some answer an unknown user with 400."""
_MAX_KEPT = 4096
"""Challenges and credentials, one for each repository; a mirror sees many, all can be had again."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a request wants to do, and where.

    Attributes:
        registry: name of the registry, by which credentials are stored.
        origin: its origin.
        repository: repository, or None.
        scopes: what the request needs, the most important first.
    """

    registry: str
    origin: Origin
    repository: str | None = None
    scopes: tuple[Scope, ...] = ()


@dataclass(frozen=True, slots=True)
class Authorization:
    """An Authorization header, and where it is from.

    Attributes:
        header: its value.
        scopes: what its token was asked for.
        fresh: it was fetched for this request; a refusal of it is final, unless the registry names
            further scopes.
    """

    header: str = field(repr=False)
    scopes: tuple[Scope, ...] = ()
    fresh: bool = True


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
        warn: Callable[[str, str], None] = lambda _registry, _text: None,
        cache: TokenCache | None = None,
    ) -> None:
        self._exchange = exchange
        self._provider = credentials
        self._allowed = allowed_realms
        self._warn = warn
        self._tokens = cache or TokenCache()
        self._flights = SingleFlight()
        self._challenges: dict[tuple[Origin, str | None], Challenge] = {}
        self._credentials: dict[tuple[str, str | None], Credential | None] = {}
        self._refused: set[tuple[Origin, Credential]] = set()
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
        if sent is None:
            return await self._authorize(need, challenge, asked)
        if sent.header.startswith("Bearer "):
            if sent.fresh and cover(sent.scopes, (*asked, *need.scopes)):
                return None
            self._tokens.drop(sent.header.removeprefix("Bearer "))
            asked = (*asked, *sent.scopes)  # never ask for less than before
        else:
            self._forget_credential(need)
        new = await self._authorize(need, challenge, asked)
        return None if new is None or new.header == sent.header else new

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
        if credential is not None and credential.registry_token:
            return Authorization(f"Bearer {credential.registry_token}", need.scopes)
        if challenge.scheme == "basic":
            if credential is None or not credential.username:
                return None
            return Authorization(basic(credential))
        return await self._bearer(need, challenge, credential, asked)

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
        scopes = merge(asked, need.scopes)
        if credential is not None and (need.origin, credential) in self._refused:
            credential = None
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
        if token is not None:
            return token
        scopes = arrange(key.scopes, first=first)
        try:
            token = await self._ask(key, need, scopes)
        except RegistryError as error:
            if key.credential is None or error.status not in _REFUSED:
                raise
            key, token = await self._anonymous(key, need, scopes, refused=error)
        self._tokens.keep(key, token)
        return token

    async def _anonymous(
        self, key: TokenKey, need: Need, scopes: tuple[Scope, ...], *, refused: RegistryError
    ) -> tuple[TokenKey, Token]:
        """Go on without the credential that was refused, where only public content may be wanted."""
        server = origin_of(key.realm).netloc
        self._forget_credential(need)
        error = UnauthorizedError(
            f"the token server {server} refused the stored credential of {need.registry}: {refused}",
            status=refused.status,
            method=refused.method,
            url=refused.url,
            details=refused.details,
            hint=f"log in to {need.registry} again",
        )
        if not scopes or not all(scope.only_pull for scope in scopes) or key.credential is None:
            raise error from refused
        anonymous = replace(key, credential=None)
        try:
            token = await self._ask(anonymous, need, scopes)
        except OCIError:
            raise error from refused
        self._refused.add((need.origin, key.credential))
        self._warn(
            need.registry,
            f"the token server {server} refused the stored credential; "
            "going on without it, which reaches public content only",
        )
        return anonymous, token

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
