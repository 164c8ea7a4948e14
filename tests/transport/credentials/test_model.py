from ocipkg_async.transport.credentials import Credential


def test_s17_repr_shows_no_secret() -> None:
    credential = Credential(
        username="alice", password="sesame1", identity_token="sesame2", registry_token="sesame3"
    )
    for text in (repr(credential), str(credential), f"{[credential]}"):
        assert "alice" in text
        assert "sesame" not in text
