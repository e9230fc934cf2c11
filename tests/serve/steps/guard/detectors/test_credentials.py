"""Credentials: issuers' shapes and named values are found; names, placeholders and prose are not."""

import pytest

from serve.steps.guard.detectors.credentials import Credentials


def found(text: str) -> list[str]:
    return sorted(text[one.start : one.end] for one in Credentials().find(text))


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("key ", "AKIA" + "ABCD2345EFGH6723", "!"),
        ("", "ghp_" + "Ab1" * 12, " ok"),
        ("token: ", "xoxb-123456789012-abcdefABCDEF", ""),
        ("", "sk-" + "proj-" + "a1B2" * 8, "."),
        ("", "hf_" + "AbCdEfGhIj" * 3 + "12", ""),
        ("password = '", "k3Yb0ard-Cat9", "'"),
        ("Das Passwort: ", "Sommer2026!x", " bitte"),
        ("api_key=", "9f8e7d6c5b4a39281706", "&x=1"),
        ("", "-----BEGIN RSA PRIVATE KEY-----\nMIIB+/=\n-----END RSA PRIVATE KEY-----", "\nbye"),
        ("jwt ", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.dozjgNryP4J3jVmNHl0w5N", ""),
    ],
)
def test_a_credential_is_found_whole(before: str, value: str, after: str) -> None:
    assert value in found(before + value + after)


@pytest.mark.parametrize(
    "text",
    [
        "password: YOUR_PASSWORD_HERE",
        "the api_key is required for every call",
        "token = os.environ['TOKEN_NAME']",
        "What is a private key, and why does PEM say BEGIN?",
        "sk-learn and well-known words with hyphens",
        "set secret: <your-secret>",
        "password is important to everybody",
    ],
)
def test_prose_and_placeholders_are_not(text: str) -> None:
    assert found(text) == []
