from pathlib import Path

import pytest

from ocipkg_async.errors import CredentialError
from ocipkg_async.transport.credentials.containers_auth import (
    Surroundings,
    chosen_location,
    home_directory,
    usual_locations,
    written_location,
)

HOME = Path("/home/alice")


def places(environ: dict[str, str], *, linux: bool = True, home: Path | None = HOME) -> list[str]:
    around = Surroundings(home=home, uid=1000, linux=linux)
    return [place.path.as_posix() for place in usual_locations(environ, around)]


def test_a46_order_on_linux() -> None:
    assert places({"XDG_RUNTIME_DIR": "/run/user/1000"}) == [
        "/run/user/1000/containers/auth.json",
        "/home/alice/.config/containers/auth.json",
        "/home/alice/.docker/config.json",
        "/home/alice/.dockercfg",
    ]


def test_a46_without_runtime_folder_the_user_number_names_it() -> None:
    assert places({})[0] == "/run/containers/1000/auth.json"
    assert places({"XDG_RUNTIME_DIR": ""})[0] == "/run/containers/1000/auth.json"


def test_a46_elsewhere_the_configuration_folder_comes_first() -> None:
    assert places({"XDG_RUNTIME_DIR": "/x", "XDG_CONFIG_HOME": "/cfg"}, linux=False) == [
        "/home/alice/.config/containers/auth.json",
        "/cfg/containers/auth.json",
        "/home/alice/.docker/config.json",
        "/home/alice/.dockercfg",
    ]
    assert len(places({}, linux=False)) == 3


def test_a40_docker_config_names_the_folder() -> None:
    assert "/d/config.json" in places({"DOCKER_CONFIG": "/d"})
    assert "/home/alice/.docker/config.json" not in places({"DOCKER_CONFIG": "/d"})


def test_without_a_home_what_variables_name_is_left() -> None:
    assert places({"DOCKER_CONFIG": "/d"}, home=None) == [
        "/run/containers/1000/auth.json",
        "/d/config.json",
    ]


def test_a46_option_goes_before_the_variable() -> None:
    environ = {"REGISTRY_AUTH_FILE": "/v/auth.json"}
    by_option = chosen_location(Path("/o/auth.json"), environ)
    by_variable = chosen_location(None, environ)
    assert by_option
    assert by_option.path == Path("/o/auth.json")
    assert by_variable
    assert by_variable.path == Path("/v/auth.json")
    assert by_variable.chosen_by == "REGISTRY_AUTH_FILE"
    assert chosen_location(None, {"REGISTRY_AUTH_FILE": ""}) is None


def test_file_named_by_hand_has_the_rules_of_its_name() -> None:
    kinds = {
        name: location.kind
        for name in ("config.json", ".dockercfg", "auth.json", "anything")
        if (location := chosen_location(Path("/x") / name, {}))
    }
    assert kinds == {
        "config.json": "docker",
        ".dockercfg": "dockercfg",
        "auth.json": "containers",
        "anything": "containers",
    }


def test_written_is_the_chosen_file_else_dockers() -> None:
    environ = {"REGISTRY_AUTH_FILE": "/v/auth.json"}
    assert written_location(Path("/o/a"), environ, HOME).path == Path("/o/a")
    assert written_location(None, environ, HOME).path == Path("/v/auth.json")
    assert written_location(None, {}, HOME).path == HOME / ".docker/config.json"
    with pytest.raises(CredentialError) as caught:
        written_location(None, {}, None)
    assert caught.value.hint
    assert "HOME" in caught.value.hint


def test_home_comes_from_the_given_environment_alone(home: Path) -> None:
    assert home_directory({"HOME": "/h", "USERPROFILE": "/h"}) == Path("/h")
    assert home_directory({}) is None
