"""Who may do what with the registry, as the user of the library says it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ...errors import InvalidArgumentError
from .authorization import Basic, user_and_password

TOKEN_LIFETIME_S = 300.0
"""What public registries give; the specification says 60 s where nothing is said (A-14)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Access control: who is known may do everything, others nothing, or only read.

    Attributes:
        htpasswd: password file with bcrypt entries, as ``htpasswd -B`` writes them. It is read
            again when it changes.
        users: passwords in plain text by user name, for tests.
        anonymous_pull: reading needs no credentials: repositories, lists and the page.
        tokens: ask for Bearer tokens, which the registry's own ``/token`` gives out, instead of
            user and password with each request (Basic). With `anonymous_pull`, only this lets
            every client both read without credentials and log in: with Basic, Docker reads
            nothing without a login. Tokens end with the registry, and clients fetch them from the
            scheme and host that they asked: a proxy that adds TLS in front must do with Basic.
        token_lifetime_s: how long a token is good for.

    Raises:
        InvalidArgumentError: there are neither users nor anonymous reading; a name is empty or
            holds a colon, or it or a password control characters (A-30); or `token_lifetime_s` is
            not positive.
    """

    htpasswd: Path | None = None
    users: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    anonymous_pull: bool = False
    tokens: bool = False
    token_lifetime_s: float = TOKEN_LIFETIME_S

    def __post_init__(self) -> None:
        object.__setattr__(self, "users", MappingProxyType(dict(self.users)))
        if not (self.has_users or self.anonymous_pull):
            raise InvalidArgumentError(
                "nobody could use a registry with access control and without users",
                hint="give an htpasswd file or users, or allow anonymous_pull",
            )
        if not all(isinstance(user_and_password(*pair), Basic) for pair in self.users.items()):
            raise InvalidArgumentError(
                "a user name is empty or holds a ':', or there are control characters in it or in "
                "the password"
            )
        if not self.token_lifetime_s > 0:
            raise InvalidArgumentError(f"token_lifetime_s={self.token_lifetime_s} is not positive")

    @property
    def has_users(self) -> bool:
        """Whether anybody can log in."""
        return self.htpasswd is not None or bool(self.users)
