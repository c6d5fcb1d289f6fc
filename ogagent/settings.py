"""Settings: what an administrator may choose, checked as a whole before anything starts.

They come from the TOML file; the address of ogCore may also come from the kernel command line, which replaces what the
file says, and from the environment, which replaces both.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

from ogagent.errors import SettingsError
from ogagent.model.host_name import RULE, is_host_name
from ogagent.settings_refused import key_and_reason
from ogagent.settings_state import StateSettings
from ogagent.settings_urls import check_capture_url, check_ogcore_url, check_repository_url, directory_of

URL_VARIABLE: Final = "OGAGENT_OGCORE_URL"
URL_PARAMETER: Final = "ogagent.ogcore"

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
    loggedin_path: CallPath = "/opengnsys/rest/ogagent/loggedin"
    loggedout_path: CallPath = "/opengnsys/rest/ogagent/loggedout"

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
        return directory_of(self.url)

    @property
    def networks(self) -> tuple[Network, ...]:
        return tuple(ip_network(network) for network in self.allow)


class CaptureSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``url`` empty: that of the repository. ``level`` of zstd."""

    url: str = ""
    credential_file: str = ""
    level: Annotated[int, Meta(ge=1, le=19)] = 3
    reduce: bool = False
    verify: bool = True
    keep_previous: bool = True


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


class FinishSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """After a restore. ``hostname`` empty: the name that this machine was given; ``hook`` empty: none."""

    grow: bool = True
    identity: bool = True
    boot: bool = True
    hostname: str = ""
    agent: bool = True
    hook: str = ""
    hook_timeout_s: Timeout = 300
    on_failure: Literal["fail", "warn"] = "fail"

    @property
    def wanted(self) -> bool:
        return self.grow or self.identity or self.boot or self.agent or bool(self.hook)


class CrowdSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``interface`` empty: the one that leads to the repository. ``upload_limit`` in bytes a second, 0: none."""

    enabled: bool = True
    interface: str = ""
    join_timeout_s: Timeout = 120
    stall_s: Timeout = 10
    fallback: bool = True
    request: Literal["none", "legacy"] = "none"
    peer_port: Port = 6881
    upload_limit: Annotated[int, Meta(ge=0)] = 0
    seed_idle: bool = True


class MachineSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``kind`` "auto": what is found, see ``ogagent.system.oglive``."""

    kind: Literal["auto", "oglive", "installed"] = "auto"
    kexec: bool = False
    script: ScriptSettings = field(default_factory=ScriptSettings)


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
    finish: FinishSettings = field(default_factory=FinishSettings)
    capture: CaptureSettings = field(default_factory=CaptureSettings)
    crowd: CrowdSettings = field(default_factory=CrowdSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)
    state: StateSettings = field(default_factory=StateSettings)
    log: LogSettings = field(default_factory=LogSettings)


def load(path: Path, environment: Mapping[str, str], kernel_command_line: str) -> Settings:
    """Raises SettingsError, which names file, key (``server.port``) and reason. Paths in the file are taken as given.

    OGAGENT_OGCORE_URL in ``environment`` wins over ``ogagent.ogcore=`` on the kernel command line, and that over the
    file's ``ogcore.url``.
    """
    settings = checked(_text(path), str(path))
    for origin, url in _replacements(environment, kernel_command_line):
        if mistake := _ogcore_url_mistake(url):
            raise SettingsError(f"{origin}: ogcore.url: {mistake}")
        return msgspec.structs.replace(settings, ogcore=msgspec.structs.replace(settings.ogcore, url=url))
    return settings


def checked(text: str, name: str) -> Settings:
    """What a configuration of that name says. Raises SettingsError as ``load`` does."""
    try:
        settings = msgspec.convert(tomllib.loads(text), Settings)
    except msgspec.ValidationError as error:
        key, reason = key_and_reason(str(error), Settings)
        raise SettingsError(f"{name}: {key}: {reason}") from error
    except ValueError as error:
        raise SettingsError(f"{name}: is not TOML: {error}") from error
    for key, reason in _mistakes(settings):
        raise SettingsError(f"{name}: {key}: {reason}")
    return settings


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else f"is not TOML: {error}"
        raise SettingsError(f"{path}: {reason}") from error


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
    if reason := _reason(check_repository_url, settings.repository.url):
        yield "repository.url", reason
    if settings.capture.url and (reason := _reason(check_capture_url, settings.capture.url)):
        yield "capture.url", reason
    yield from _finish_mistakes(settings.finish)
    if settings.state.mistake:
        yield "state.dir", settings.state.mistake
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


def _finish_mistakes(finish: FinishSettings) -> Iterator[tuple[str, str]]:
    if finish.hostname and not is_host_name(finish.hostname):
        yield "finish.hostname", f"{finish.hostname!r} is no host name: {RULE}"
    if finish.hook and not finish.hook.startswith("/"):
        yield "finish.hook", f"{finish.hook!r} is not the path of a program, such as /etc/ogagent/ready"


def _network_mistakes(key: str, networks: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for network in networks:
        if reason := _reason(ip_network, network):
            yield key, reason


def _ogcore_url_mistake(url: str) -> str | None:
    """Only https: reports are never sent to somebody unverified, and the secret travels in one of them."""
    return _reason(check_ogcore_url, url) if url else None


def _reason(check: Callable[[str], Any], value: str) -> str | None:
    try:
        check(value)
    except ValueError as error:
        return str(error)
    return None
