"""The console's two languages. The English text is the key; ``words-es.json`` holds the Spanish one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aiohttp import web

COOKIE: Final = "language"
LANGUAGES: Final = {"en": "English", "es": "Español"}
SPANISH: Final[dict[str, str]] = json.loads(Path(__file__).with_name("words-es.json").read_text("utf-8"))

Say = Callable[..., str]


def language_of(request: web.Request) -> str:
    """What was chosen, or else what the browser asks for first among those that there are."""
    chosen = request.cookies.get(COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    asked = (word.split(";")[0].strip()[:2].lower() for word in request.headers.get("Accept-Language", "").split(","))
    return next((word for word in asked if word in LANGUAGES), "en")


def say_in(language: str) -> Say:
    def say(text: str, **values: object) -> str:
        words = SPANISH.get(text, text) if language == "es" else text
        return words.format(**values) if values else words

    return say
