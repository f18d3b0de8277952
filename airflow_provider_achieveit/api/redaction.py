"""Keeps the API key out of messages and logs."""

from __future__ import annotations

import re

from airflow_provider_achieveit.api.validate import shown


class Redactor:
    """Takes a key out of texts that quote what a server sent, in which it could echo the key.

    Args:
        key: The API key.
    """

    def __init__(self, key: str) -> None:
        # A `repr`, or one within another, puts backslashes before quotes and doubles backslashes.
        self._key = re.compile("".join(_escaped(character) for character in key))

    def redact(self, text: str) -> str:
        """Return a text with `***` in place of the key."""
        return self._key.sub("***", text)

    def shown(self, value: object) -> str:
        """Return a value as messages show it: without the key, escaped and shortened.

        The key is taken out first: half a key would not be found.
        """
        if isinstance(value, str):
            return shown(self.redact(value))
        try:
            return shown(self.redact(repr(value)))
        except RecursionError:
            return f"<{type(value).__name__}>"


def _escaped(character: str) -> str:
    if character == "\\":
        return r"\\+"
    return re.escape(character) if character not in "'\"" else rf"\\*{character}"
