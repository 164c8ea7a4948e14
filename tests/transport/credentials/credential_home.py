"""Helper programs on a PATH of their own, and a home where Docker and podman keep files."""

import base64
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

KEEPING_HELPER = f"""#!{sys.executable} -IS
import json, os, sys
store = os.path.join(os.environ["HELPER_STORE"], os.path.basename(sys.argv[0]) + ".json")
try:
    known = json.load(open(store))
except FileNotFoundError:
    known = {{}}
verb, text = sys.argv[1], sys.stdin.read()
if verb == "list":
    print(json.dumps({{key: value[0] for key, value in known.items()}}))
elif verb == "store":
    sent = json.loads(text)
    known[sent["ServerURL"]] = [sent["Username"], sent["Secret"]]
elif text not in known:
    print("credentials not found in native keychain")
    sys.exit(1)
elif verb == "get":
    user, secret = known[text]
    print(json.dumps({{"ServerURL": text, "Username": user, "Secret": secret}}))
else:
    del known[text]
json.dump(known, open(store, "w"))
"""
"""A helper as Docker's are, that keeps secrets in a file."""


def auth(username: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    path.chmod(0o600)
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class User:
    """A home directory, the environment that belongs to it, and what lies there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.programs = home / "bin"
        self.programs.mkdir(parents=True)
        self.environ = {
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home / "run"),
            "PATH": os.pathsep.join([str(self.programs), "/usr/bin", "/bin"]),
            "HELPER_STORE": str(home),
        }
        self.docker = home / ".docker" / "config.json"
        self.podman = home / "run" / "containers" / "auth.json"
        self.podman_config = home / ".config" / "containers" / "auth.json"
        self.dockercfg = home / ".dockercfg"

    def add_helper(self, name: str, script: str = KEEPING_HELPER) -> Path:
        path = self.programs / f"docker-credential-{name}"
        path.write_text(script)
        path.chmod(0o700)
        return path

    def helper_has(self, name: str) -> Any:
        path = self.home / f"docker-credential-{name}.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def give_helper(self, name: str, known: dict[str, tuple[str, str]]) -> None:
        write_json(self.home / f"docker-credential-{name}.json", known)
