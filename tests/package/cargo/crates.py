"""Small crates without dependencies, which compile in a moment."""

from pathlib import Path

from client.trees import make_tree

# Without the standard library a static library has some kilobytes instead of ten megabytes.
BARE = """
#![no_std]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }
"""
FUNCTION = '#[no_mangle] pub extern "C" fn NAME() -> i32 { 42 }\n'
PROFILES = '\n[profile.dev]\npanic = "abort"\ndebug = 0\n[profile.release]\npanic = "abort"\n'


def manifest(name: str, *kinds: str, more: str = "", package: str = "") -> str:
    lib = f"[lib]\ncrate-type = {list(kinds)!r}\n" if kinds else ""
    return (
        f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n{package}\n{lib}\n{more}'
    )


def bare_source(name: str) -> str:
    return BARE + FUNCTION.replace("NAME", name)


def make_static(folder: Path, name: str = "foo", *, more: str = "") -> Path:
    """Write a crate that makes a static library of one function, and return its folder."""
    files = {
        "Cargo.toml": manifest(name, "staticlib", more=more + PROFILES),
        "src/lib.rs": bare_source(name),
        ".gitignore": "/target\n",
    }
    return make(folder, files)


def make(folder: Path, files: dict[str, str]) -> Path:
    return make_tree(folder, {path: text.encode() for path, text in files.items()})


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)
