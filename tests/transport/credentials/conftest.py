"""A user whose credential files the tests fill."""

from pathlib import Path

import pytest

from transport.credentials.credential_home import User


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path / "user")
