"""Takes secrets out of what is reported. Names decide: what is called a password is replaced, whatever it holds."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote_plus

REPLACEMENT = "[scrubbed]"

# Not sent at all, not even their names.
HEADERS_LEFT_OUT = frozenset({"authorization", "cookie", "set-cookie", "x-api-key"})

# What contains one of these, in any case without `-`, `_`, `.` and spaces, is a secret. The same as browser-relay's.
SECRETS = (
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "authorization",
    "cookie",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "creditcard",
    "cardnumber",
    "cvv",
)

_SEPARATORS = str.maketrans("", "", "-_. ")


class Scrubber:
    """Knows the names of secrets: the usual ones and an application's own."""

    def __init__(self, headers_left_out: Iterable[str] = (), more_secrets: Iterable[str] = ()) -> None:
        self._headers = HEADERS_LEFT_OUT | {name.lower() for name in headers_left_out}
        # An empty name would be part of every other.
        self._secrets = SECRETS + tuple(folded for name in more_secrets if (folded := _fold(name)))

    def is_left_out(self, header: str) -> bool:
        return header.lower() in self._headers

    def is_secret(self, name: str) -> bool:
        folded = _fold(name)
        return any(secret in folded for secret in self._secrets)

    def url(self, url: str) -> str:
        """Without the values of secret parameters and without a password before the host."""
        url, fragment_mark, fragment = url.partition("#")
        url, query_mark, query = url.partition("?")
        parameters = "&".join(map(self._parameter, query.split("&")))
        return _without_user(url) + query_mark + parameters + fragment_mark + fragment

    def _parameter(self, parameter: str) -> str:
        name, equals, _ = parameter.partition("=")
        if equals and self.is_secret(unquote_plus(name)):
            return name + equals + REPLACEMENT
        return parameter


def _fold(name: str) -> str:
    return name.translate(_SEPARATORS).lower()


def _without_user(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    _user, at, host_alone = host.rpartition("@")
    if not mark or not at:
        return url
    return scheme + mark + REPLACEMENT + at + host_alone + slash + path
