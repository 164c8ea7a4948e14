from typing import Any, get_args

import pytest

from ocipkg_async.errors import CredentialError
from ocipkg_async.transport.credentials import DOCKER_HUB_KEY
from ocipkg_async.transport.credentials.docker_config import FileKind
from ocipkg_async.transport.credentials.helper_settings import (
    helper_addresses,
    helper_name,
    helper_registries,
)


def name(config: dict[str, Any], kind: FileKind, registry: str) -> str | None:
    return helper_name(config, kind, registry, where="the file")


def test_a42_per_registry_helper_goes_before_the_store() -> None:
    config = {"credsStore": "all", "credHelpers": {"reg.example.io": "one", "none.example.io": ""}}
    assert name(config, "docker", "reg.example.io") == "one"
    assert name(config, "docker", "other.example.io") == "all"
    assert name(config, "docker", "none.example.io") is None
    assert name({}, "docker", "reg.example.io") is None


def test_a49_credsstore_counts_in_docker_files_only() -> None:
    config = {"credsStore": "all", "credHelpers": {"reg.example.io": "one"}}
    assert name(config, "containers", "other.example.io") is None
    assert name(config, "containers", "reg.example.io") == "one"
    assert name(config, "dockercfg", "reg.example.io") is None


@pytest.mark.parametrize("key", [DOCKER_HUB_KEY, "docker.io", "index.docker.io"])
def test_a43_docker_hub_helper_is_found_by_any_of_its_names(key: str) -> None:
    assert name({"credHelpers": {key: "hub"}}, "docker", "docker.io") == "hub"


def test_a43_helper_gets_the_key_that_its_programs_use() -> None:
    assert helper_addresses("docker.io", "docker") == (DOCKER_HUB_KEY,)
    assert helper_addresses("docker.io", "containers") == ("docker.io", DOCKER_HUB_KEY)
    for kind in get_args(FileKind):
        assert helper_addresses("reg.example.io:5000", kind) == ("reg.example.io:5000",)


def test_registries_with_a_helper_are_listed() -> None:
    config = {"credHelpers": {DOCKER_HUB_KEY: "hub", "r.io": "one", "s.io": "", "t.io/a": "no"}}
    assert helper_registries(config, "docker", where="f") == {"docker.io": "hub", "r.io": "one"}


@pytest.mark.parametrize(
    "config", [{"credHelpers": []}, {"credHelpers": {"r.io": 1}}, {"credsStore": ["x"]}]
)
def test_settings_of_a_wrong_type_are_an_error(config: dict[str, Any]) -> None:
    with pytest.raises(CredentialError, match="in the file"):
        name(config, "docker", "r.io")
