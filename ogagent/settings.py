"""Settings: what an administrator may choose, checked as a whole before anything starts.

They come from the TOML file; the address of ogCore may also come from the kernel command line, which replaces what the
file says, and from the environment, which replaces both.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct, field
from yarl import URL

from ogagent.errors import SettingsError
from ogagent.model.repository import image_url, is_host

URL_VARIABLE: Final = "OGAGENT_OGCORE_URL"
URL_PARAMETER: Final = "ogagent.ogcore"

_REQUESTED_HOST: Final = re.compile(r"\{ipr\}(:[0-9]+)?")
_IMAGE: Final = "directory/image"

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(ge=0, le=86400)]
Window = Annotated[int, Meta(ge=8 << 20, le=1 << 31)]  # bytes; 8 MiB: the least that RFC 8878, 3.1.1.1.2, asks for
Timeout = Annotated[float, Meta(gt=0, le=86400)]
FilePath = Annotated[str, Meta(min_length=1)]
CallPath = Annotated[str, Meta(pattern=r"^/[!-~]*\Z")]
Network = IPv4Network | IPv6Network


class ServerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    address: str = "0.0.0.0"  # noqa: S104 - an agent is there to be called from the network
    port: Port = 8000
    certificate: str = ""
    key: str = ""


class AccessSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    mode: Literal["secret", "certificate", "address"] = "secret"
    client_ca: str = ""
    allow: tuple[str, ...] = ()
    secret_file: str = ""

    @property
    def networks(self) -> tuple[Network, ...]:
        return tuple(ip_network(network) for network in self.allow)


class OgCoreSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str = ""
    ca: str = ""
    webhook_path: CallPath = "/opengnsys/rest/clients/status/webhook"
    register: bool = True
    started_path: CallPath = "/opengnsys/rest/ogagent/started"
    stopped_path: CallPath = "/opengnsys/rest/ogagent/stopped"

    def call(self, path: str) -> str:
        """The URL of one of the paths."""
        return self.url.rstrip("/") + path


class RepositorySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str = "https://{ipr}/ogrepository/images/{nci}.img"
    ca: str = ""
    allow: tuple[str, ...] = (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8"),
        *("fc00::/7", "::1/128"),
    )
    public_keys: tuple[FilePath, ...] = ()

    @property
    def directory(self) -> str:
        """Where all images are when ``url`` is one of files: what stands before the first placeholder."""
        location = URL(self.url.partition("{")[0] + "_")
        return str(Path(location.path).parent) if location.scheme == "file" else ""

    @property
    def networks(self) -> tuple[Network, ...]:
        return tuple(ip_network(network) for network in self.allow)


class DisksSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    include: tuple[FilePath, ...] = ()
    exclude: tuple[FilePath, ...] = ()


class CacheSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    required: bool = True
    mount_point: FilePath = "/opt/opengnsys/cache"
    on_full: Literal["evict", "fail"] = "evict"


class RestoreSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    read_back: bool = True
    stall_timeout_s: Timeout = 30
    retry_for_s: Seconds = 600
    max_window: Window = 134217728


class ScriptSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enabled: bool = True


class MachineSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kexec: bool = False
    script: ScriptSettings = field(default_factory=ScriptSettings)


class StateSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    dir: FilePath = "/var/lib/ogagent"


class LogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    server: ServerSettings = field(default_factory=ServerSettings)
    access: AccessSettings = field(default_factory=AccessSettings)
    ogcore: OgCoreSettings = field(default_factory=OgCoreSettings)
    repository: RepositorySettings = field(default_factory=RepositorySettings)
    disks: DisksSettings = field(default_factory=DisksSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    restore: RestoreSettings = field(default_factory=RestoreSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)
    state: StateSettings = field(default_factory=StateSettings)
    log: LogSettings = field(default_factory=LogSettings)


def load(path: Path, environment: Mapping[str, str], kernel_command_line: str) -> Settings:
    """Raises SettingsError, which names file, key (``server.port``) and reason. Paths in the file are taken as given.

    OGAGENT_OGCORE_URL in ``environment`` wins over ``ogagent.ogcore=`` on the kernel command line, and that over the
    file's ``ogcore.url``.
    """
    settings = _decoded(path)
    for key, reason in _mistakes(settings):
        raise SettingsError(f"{path}: {key}: {reason}")
    for origin, url in _replacements(environment, kernel_command_line):
        if mistake := _ogcore_url_mistake(url):
            raise SettingsError(f"{origin}: ogcore.url: {mistake}")
        return msgspec.structs.replace(settings, ogcore=msgspec.structs.replace(settings.ogcore, url=url))
    return settings


def _decoded(path: Path) -> Settings:
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Settings)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except msgspec.ValidationError as error:
        key, reason = _key_and_reason(str(error))
        raise SettingsError(f"{path}: {key}: {reason}") from error
    except ValueError as error:  # TOML that is none, or a file that is not UTF-8
        raise SettingsError(f"{path}: is not TOML: {error}") from error


def _key_and_reason(message: str) -> tuple[str, str]:
    """msgspec says ``Expected `int`, got `str` - at `$.server.port` ``, and of an unknown key only where it lies."""
    reason, _, place = message.partition(" - at `$")
    key = place.rstrip("`").removeprefix(".")
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", reason, re.DOTALL):
        return f"{key}.{unknown[1]}".removeprefix("."), "unknown key"
    return key, reason


def _replacements(environment: Mapping[str, str], kernel_command_line: str) -> Iterator[tuple[str, str]]:
    """The strongest first. An empty value replaces nothing; of a repeated kernel parameter the last one counts."""
    if url := environment.get(URL_VARIABLE, "").strip():
        yield f"environment variable {URL_VARIABLE}", url
    for parameter in reversed(kernel_command_line.split()):
        name, _, value = parameter.partition("=")
        if name == URL_PARAMETER and (url := value.strip('"')):
            yield f"kernel parameter {URL_PARAMETER}", url


# --- what types alone do not say ----------------------------------------------------------------------------------


def _mistakes(settings: Settings) -> Iterator[tuple[str, str]]:
    """Key and reason of each value that cannot be used."""
    yield from _server_mistakes(settings.server)
    yield from _access_mistakes(settings.access)
    yield from _network_mistakes("repository.allow", settings.repository.allow)
    if reason := _reason(_check_repository_url, settings.repository.url):
        yield "repository.url", reason
    if reason := _ogcore_url_mistake(settings.ogcore.url):
        yield "ogcore.url", reason
    for key, devices in (("disks.include", settings.disks.include), ("disks.exclude", settings.disks.exclude)):
        for device in devices:
            if not device.startswith("/"):
                yield key, f"{device!r} is not the path of a block device, such as /dev/sdb"


def _server_mistakes(server: ServerSettings) -> Iterator[tuple[str, str]]:
    if reason := _reason(ip_address, server.address):
        yield "server.address", reason
    if server.certificate and not server.key:
        yield "server.key", "missing: server.certificate needs the key that belongs to it"
    if server.key and not server.certificate:
        yield "server.certificate", "missing: server.key needs the certificate that belongs to it"


def _access_mistakes(access: AccessSettings) -> Iterator[tuple[str, str]]:
    yield from _network_mistakes("access.allow", access.allow)
    if access.mode == "certificate" and not access.client_ca:
        yield "access.client_ca", "missing: mode certificate needs the CA that signs the callers' certificates"
    if access.mode == "address" and not access.allow:
        yield "access.allow", "empty: in mode address nobody could call this agent"


def _network_mistakes(key: str, networks: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for network in networks:
        if reason := _reason(ip_network, network):
            yield key, reason


def _ogcore_url_mistake(url: str) -> str | None:
    """Only https: reports are never sent to somebody unverified, and the secret travels in one of them."""
    return _reason(_check_ogcore_url, url) if url else None


def _check_ogcore_url(url: str) -> None:
    _refuse_credentials(url)
    location = _location(url)
    if location.scheme != "https":
        raise ValueError(f"{url!r} does not begin with https://")
    if not location.raw_host:
        raise ValueError(f"{url!r} is not of the form https://HOST[:PORT][/PATH]")


def _check_repository_url(url: str) -> None:
    _refuse_credentials(url)
    rest = url.replace("{ipr}", "").replace("{nci}", "")
    if "{nci}" not in url or "{" in rest or "}" in rest:
        raise ValueError(f"{url!r} must hold {{nci}}, may hold {{ipr}}, and no other placeholder")
    authority = url.partition("//")[2].partition("/")[0]
    if "{" in authority and not _REQUESTED_HOST.fullmatch(authority):
        raise ValueError(f"{url!r} has a placeholder in its host or port: {{ipr}} may only be the whole host")
    location = _location(image_url(url, "repository.example", _IMAGE))
    if location.scheme not in ("http", "https", "file"):
        raise ValueError(f"{url!r} does not begin with http://, https:// or file://")
    if (location.scheme == "file") == bool(location.raw_host):
        raise ValueError(f"{url!r} has a host where none belongs, or none where one belongs")
    if not location.path.startswith("/") or _IMAGE not in location.path:
        raise ValueError(f"{url!r} must have {{nci}} in its path, which begins with /")


def _refuse_credentials(url: str) -> None:
    """Addresses stand in logs, plans and reports. So this one is not shown."""
    if "@" in url.partition("//")[2].partition("/")[0]:
        raise ValueError("SCHEME://USER@HOST: a user's name or password would be shown wherever this address is")


def _location(url: str) -> URL:
    """Raises ValueError for what would fail at a call only."""
    location, parts = URL(url), urlsplit(url)  # calls are made with the one; the other takes no port like +80
    if parts.port == 0 or "?" in url or "#" in url:
        raise ValueError(f"{url!r} is not of the form SCHEME://HOST[:PORT][/PATH]")
    if not url.isprintable() or not location.path.isprintable():
        raise ValueError(f"{url!r} holds a character that cannot be printed")
    (parts.hostname or "").encode("idna")  # as sockets do it
    host = location.raw_host or ""
    # DNS has names with an underscore, and with a dot at the end.
    if host and not is_host(host.removesuffix(".").replace("_", "-")):
        raise ValueError(f"{host!r} is neither an IP address nor the name of a host")
    return location


def _reason(check: Callable[[str], Any], value: str) -> str | None:
    try:
        check(value)
    except ValueError as error:
        return str(error)
    return None
