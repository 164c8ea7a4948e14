"""The page in a browser: what a person reads, clicks and copies, and that nothing else happens."""

import time
from collections.abc import Iterator

import pytest

from ocipkg_async.package import ArtifactFile
from ocipkg_async.spec import Reference, annotations
from ocipkg_async.sync import Client
from ocipkg_async.testing import Access, run_registry
from server.browser import Browser, running_browser

pytestmark = pytest.mark.interop

EVIL = (
    "</td><script>document.title='owned'</script>\"'><img src=//evil.example/x onerror=owned=1>"
    "<style>@import '//evil.example/y'</style>\u202e"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running_browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry with something of our own and something of a stranger."""
    file = tmp_path_factory.mktemp("files") / "file.txt"
    file.write_text("content")
    said = {annotations.DESCRIPTION: EVIL, annotations.CREATED: EVIL}
    with run_registry() as registry:
        with Client() as client:
            for name, notes in (("team/app:v1", {}), ("team/app:v2", {}), ("odd:v1", said)):
                reference = Reference.parse(f"{registry.host}/{name}", strict=True)
                files = [ArtifactFile(path=file, title="file.txt")]
                client.push_files(reference, files, annotations=notes)
        yield registry.host


def visit(browser: Browser, url: str) -> None:
    """Open a page on a wide screen, and forget what was before it."""
    browser.width(1200)
    browser.open("about:blank")
    browser.complaints(), browser.requests()
    browser.open(url)


def expect_quiet(browser: Browser, host: str) -> None:
    """No page complained, or asked for anything but pages of the registry."""
    assert browser.complaints() == []
    asked = {url.partition("?")[0] for url in browser.requests()}
    assert {url for url in asked if not url.startswith("data:")} == {f"http://{host}/"}


def test_a_person_finds_and_copies_a_command(browser: Browser, host: str) -> None:
    visit(browser, f"http://{host}/")
    assert browser.title == host
    assert browser.texts("h1") == [host]
    assert browser.texts("thead th") == ["Repository", "Tags", "Tag names"]
    assert browser.texts("tbody th") == ["odd", "team/app"]
    browser.follow("team/app")
    assert browser.title == "team/app"
    assert browser.texts("tbody th") == ["v1", "v2"]
    assert browser.texts(".content")[0].splitlines()[::2] == ["artifact", "file.txt"]

    command = f"ocipkg-async pull {host}/team/app:v1 -o app"
    assert browser.texts(".copy")[:2] == [command, ""]
    browser.click(".copy")
    assert browser.selection == command
    browser.click(".digest")
    assert browser.selection.startswith("sha256:")
    assert len(browser.selection) == len("sha256:") + 64
    browser.click("summary")
    other = f"oras pull --plain-http {host}/team/app:v1 -o app"
    assert browser.texts(".copy")[1] == other
    browser.click("details .copy")
    assert browser.selection == other
    browser.follow("All repositories")
    assert browser.url == f"http://{host}/"
    expect_quiet(browser, host)


def test_strangers_words_are_only_words(browser: Browser, host: str) -> None:
    visit(browser, f"http://{host}/?repository=odd")
    assert browser.title == "odd"
    shown = EVIL.replace("\u202e", "[U+202E]")
    assert browser.texts(".content bdi") == [shown, "file.txt", shown]
    count = "return document.querySelectorAll('script, img, main style, iframe, object').length"
    assert browser.script(count) == 0
    assert browser.script("return typeof owned") == "undefined"
    expect_quiet(browser, host)


def test_the_policy_holds_back_what_would_get_past_escaping(browser: Browser, host: str) -> None:
    """What gets into the page all the same is neither run nor loaded."""
    visit(browser, f"http://{host}/")
    browser.script(
        """
        document.querySelector("main").innerHTML += "<img src=/x onerror='owned=1'>"
        const script = document.createElement("script")
        script.textContent = "owned = 1"
        document.body.append(script)
        """
    )
    assert browser.script("return typeof owned") == "undefined"
    complaints = browser.complaints()
    for _ in range(400):  # they come when the browser has tried
        if len(complaints) >= 2:
            break
        time.sleep(0.05)
        complaints += browser.complaints()
    assert len(complaints) >= 2
    assert all("Content Security Policy" in line for line in complaints)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_phone_shows_all_of_it(browser: Browser, host: str, *, dark: bool) -> None:
    browser.width(400, dark=dark)
    browser.open(f"http://{host}/?repository=odd")
    assert browser.script("return document.documentElement.scrollWidth") == 400
    roles = [browser.role(one) for one in ("main", "table", "thead th", "tbody th", "tbody td")]
    assert roles == ["main", "table", "columnheader", "rowheader", "cell"]
    back = browser.script("return getComputedStyle(document.body).backgroundColor")
    assert back == ("rgb(20, 24, 29)" if dark else "rgb(255, 255, 255)")


def test_browser_keeps_the_password_from_page_to_page(browser: Browser) -> None:
    with run_registry(access=Access(users={"alice": "secret"})) as registry:
        browser.open(f"http://alice:secret@{registry.host}/")
        assert browser.texts("h2") == ["Nothing here yet"]
        browser.open(f"http://{registry.host}/?repository=none")
        assert browser.texts("main p") == ["There is no repository 'none'."]
