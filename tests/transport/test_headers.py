from ocipkg_async.transport import Headers


def test_d07_names_compare_without_case() -> None:
    headers = Headers([("Docker-Content-Digest", " sha256:x "), ("LINK", "a"), ("Link", "b")])
    assert headers.get("docker-content-digest") == "sha256:x"
    assert headers.get("Nothing") is None
    assert headers.get("Nothing", "else") == "else"
    assert "link" in headers
    assert "nothing" not in headers


def test_d124_every_value_of_a_repeated_header() -> None:
    headers = Headers([("LINK", "a"), ("x", "y"), ("Link", "b")])
    assert headers.get_all("link") == ["a", "b"]
    assert headers.get_all("other") == []
    assert list(headers) == [("link", "a"), ("x", "y"), ("link", "b")]


def test_s17_the_text_form_shows_names_only() -> None:
    assert repr(Headers([("Location", "https://s/?sig=secret")])) == "Headers(location)"
