"""What a registry was seen to support; learnt from real answers, never assumed (D-22)."""

import time
from dataclasses import dataclass, field

# Registries are upgraded while a service runs; a wrong "no" should not last for ever.
_REMEMBER_S = 3600.0


@dataclass(slots=True)
class Capabilities:
    """Facts about one repository or one registry, each forgotten after an hour."""

    _facts: dict[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])

    def learn(self, name: str, *, supported: bool) -> None:
        """Remember whether ``name`` works."""
        self.learn_number(name, int(supported))

    def known(self, name: str) -> bool | None:
        """Return what was learnt about ``name``, or None."""
        number = self.number(name)
        return None if number is None else bool(number)

    def learn_number(self, name: str, value: int) -> None:
        """Remember a limit."""
        self._facts[name] = (value, time.monotonic())

    def number(self, name: str) -> int | None:
        """Return the limit that was learnt, or None."""
        value, when = self._facts.get(name, (None, 0.0))
        return None if value is None or time.monotonic() - when > _REMEMBER_S else value
