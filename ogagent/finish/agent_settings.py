"""The agent of the installed system is told which ogCore is its own: that of the room, and not of the model's."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Final

from ogagent.errors import NotReady
from ogagent.finish.files import Edit, Files
from ogagent.finish.place import Centre
from ogagent.settings_text import rewritten

_FILE: Final = "etc/ogagent/ogagent.toml"
_CA: Final = "etc/ogagent/ogcore.pem"


def agent_edits(files: Files, centre: Centre) -> Iterator[Edit]:
    """None for a system without an agent, or when this machine has no ogCore itself. Raises NotReady."""
    found = files.read(_FILE)
    if found is None or not centre.url:
        return
    members = {"url": centre.url, **({"ca": f"/{_CA}"} if centre.ca else {})}
    try:
        text = rewritten(found.decode(), "ogcore", members)
        told = tomllib.loads(text)["ogcore"]
    except (ValueError, KeyError, RecursionError) as error:
        raise NotReady(f"/{_FILE} of the image is not TOML: {error}", hint="mend it in the model") from error
    if any(told.get(name) != value for name, value in members.items()):
        raise NotReady(f"/{_FILE} of the image cannot be changed", hint="write url and ca under [ogcore] in the model")
    if centre.ca:
        yield Edit(path=_CA, content=centre.ca)
    yield Edit(path=_FILE, content=text.encode(), mode=0o600)
