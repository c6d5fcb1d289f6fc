"""The configuration: every key has its default, every mistake is named."""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ogagent.errors import SettingsError
from ogagent.service import source_policy
from ogagent.settings import RepositorySettings, Settings, load

# The configuration of the interface description, keys and defaults to the letter.
EVERY_KEY = """
[server]
address = "0.0.0.0"
port = 8000
certificate = ""
key = ""
[access]
mode = "secret"
client_ca = ""
allow = []
secret_file = ""
[ogcore]
url = ""
ca = ""
webhook_path = "/opengnsys/rest/clients/status/webhook"
register = true
started_path = "/opengnsys/rest/ogagent/started"
stopped_path = "/opengnsys/rest/ogagent/stopped"
loggedin_path = "/opengnsys/rest/ogagent/loggedin"
loggedout_path = "/opengnsys/rest/ogagent/loggedout"
[repository]
url = "https://{ipr}/ogrepository/images/{nci}.img"
ca = ""
allow = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "::1/128"]
public_keys = []
[disks]
include = []
exclude = []
[cache]
required = true
mount_point = "/opt/opengnsys/cache"
on_full = "evict"
[restore]
read_back = true
stall_timeout_s = 30
retry_for_s = 600
max_window = 134217728
[finish]
grow = true
identity = true
boot = true
hostname = ""
agent = true
hook = ""
hook_timeout_s = 300
on_failure = "fail"
[capture]
url = ""
credential_file = ""
level = 3
reduce = false
verify = true
keep_previous = true
[crowd]
enabled = true
interface = ""
join_timeout_s = 120
stall_s = 10
fallback = true
request = "none"
peer_port = 6881
upload_limit = 0
seed_idle = true
[machine]
kind = "auto"
kexec = false
script.enabled = true
[state]
dir = "/var/lib/ogagent"
[log]
level = "info"
format = "text"
"""
PACKAGED = Path(__file__).parents[1] / "systemd" / "ogagent.toml"


def loaded(tmp_path: Path, text: str, environment: dict[str, str] | None = None, kernel: str = "") -> Settings:
    file = tmp_path / "ogagent.toml"
    file.write_text(text)
    return load(file, environment or {}, kernel)


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert loaded(tmp_path, "") == Settings()


def test_every_key_of_the_interface_exists_with_its_default(tmp_path: Path) -> None:
    assert loaded(tmp_path, EVERY_KEY) == Settings()
    assert msgspec.to_builtins(Settings(), builtin_types=()) == tuples(tomllib.loads(EVERY_KEY))


def test_the_packaged_file_shows_every_key_with_its_default() -> None:
    assert load(PACKAGED, {}, "") == Settings()
    assert tomllib.loads(PACKAGED.read_text()) == tomllib.loads(EVERY_KEY)


def tuples(value: Any) -> Any:
    """The same value with sequences as Settings hold them."""
    if isinstance(value, dict):
        return {key: tuples(member) for key, member in value.items()}
    return tuple(value) if isinstance(value, list) else value


def test_the_window_goes_with_what_a_source_is_trusted_with(tmp_path: Path) -> None:
    assert source_policy(loaded(tmp_path, "[restore]\nmax_window = 268435456")).max_window == 256 << 20


def test_public_keys_are_read_at_the_start(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate().public_key()
    (tmp_path / "public.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "no-key.pem").write_text("none")
    configured = f"[repository]\npublic_keys = ['{tmp_path}/%s']"
    assert source_policy(loaded(tmp_path, configured % "public.pem")).public_keys == [key]
    for name in ("no-key.pem", "missing.pem"):
        with pytest.raises(SettingsError, match=name):
            source_policy(loaded(tmp_path, configured % name))


def test_the_packaged_file_explains_every_key() -> None:
    lines = PACKAGED.read_text().splitlines()
    keys = [number for number, line in enumerate(lines) if " = " in line and not line.startswith("#")]
    assert keys
    assert [lines[number] for number in keys if not lines[number - 1].startswith("#")] == []


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("[server]\nport = 0", "server.port", ">= 1"),
        ("[server]\nport = 65536", "server.port", "<= 65535"),
        ("[server]\nport = '8000'", "server.port", "`int`, got `str`"),
        ("[server]\nport = true", "server.port", "`int`, got `bool`"),
        ("[server]\nprt = 1", "server.prt", "unknown key"),
        ("[serve]\nport = 1", "serve", "unknown key"),
        ("server = 1", "server", "`object`, got `int`"),
        ("[server]\naddress = 'here'", "server.address", "'here'"),
        ("[server]\ncertificate = '/c.pem'", "server.key", "missing"),
        ("[server]\nkey = '/k.pem'", "server.certificate", "missing"),
        ("[access]\nmode = 'none'", "access.mode", "'none'"),
        ("[access]\nmode = 'certificate'", "access.client_ca", "missing"),
        ("[access]\nmode = 'address'", "access.allow", "empty"),
        ("[access]\nallow = ['10.0.0.0/33']", "access.allow", "10.0.0.0/33"),
        ("[access]\nallow = ['10.0.0.1/8']", "access.allow", "host bits"),
        ("[access]\nallow = ['10.0.0.0/8', 7]", "access.allow[1]", "`str`, got `int`"),
        ("[ogcore]\nurl = 'http://192.168.2.1'", "ogcore.url", "https://"),
        ("[ogcore]\nurl = '192.168.2.1'", "ogcore.url", "https://"),
        ("[ogcore]\nurl = 'https://'", "ogcore.url", "HOST"),
        ("[ogcore]\nurl = 'https://u:p@ogcore'", "ogcore.url", "HOST"),
        ("[ogcore]\nurl = 'https://ogcore:99999'", "ogcore.url", "ort"),
        ("[ogcore]\nurl = 'https://ogcore/?a=b'", "ogcore.url", "HOST"),
        ("[ogcore]\nurl = 'https://[::1'", "ogcore.url", "IPv6"),
        ("[ogcore]\nurl = 'https://a..b'", "ogcore.url", "empty"),
        ("[ogcore]\nwebhook_path = 'webhook'", "ogcore.webhook_path", "matching"),
        ('[ogcore]\nwebhook_path = "/webhook\\n"', "ogcore.webhook_path", "matching"),
        ("[ogcore]\nregister = 1", "ogcore.register", "`bool`, got `int`"),
        ("[repository]\nurl = 'ftp://{ipr}/{nci}'", "repository.url", "http://"),
        ("[repository]\nurl = 'https://{ipr}/image.img'", "repository.url", "{nci}"),
        ("[repository]\nurl = 'https://{ipr}/{nci}{x}'", "repository.url", "placeholder"),
        ("[repository]\nurl = 'https://{ipr}/{nci'", "repository.url", "}"),
        ("[repository]\nurl = 'file://host/{nci}'", "repository.url", "host"),
        ("[repository]\nurl = 'https:///{nci}'", "repository.url", "host"),
        ("[repository]\nallow = ['any']", "repository.allow", "'any'"),
        ("[repository]\npublic_keys = ['']", "repository.public_keys[0]", "length"),
        ("[disks]\ninclude = ['sdb']", "disks.include", "/dev/sdb"),
        ("[disks]\nexclude = ['']", "disks.exclude[0]", "length"),
        ("[cache]\nmount_point = ''", "cache.mount_point", "length"),
        ("[restore]\nstall_timeout_s = 0", "restore.stall_timeout_s", "> 0"),
        ("[restore]\nstall_timeout_s = nan", "restore.stall_timeout_s", "> 0"),
        ("[restore]\nstall_timeout_s = inf", "restore.stall_timeout_s", "<= 86400"),
        ("[restore]\nretry_for_s = -1", "restore.retry_for_s", ">= 0"),
        ("[restore]\nmax_window = 8388607", "restore.max_window", ">= 8388608"),
        ("[restore]\nmax_window = 2147483649", "restore.max_window", "<= 2147483648"),
        ("[restore]\nmax_window = '128M'", "restore.max_window", "`int`, got `str`"),
        ("[state]\ndir = ''", "state.dir", "length"),
        ("[state]\ndir = 'cach'", "state.dir", "'cach' is neither the path of a directory nor"),
        ("[log]\nlevel = 'loud'", "log.level", "'loud'"),
        ("[log]\nformat = 'xml'", "log.format", "'xml'"),
    ],
)
def test_a_mistake_names_file_key_and_reason(tmp_path: Path, text: str, key: str, reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, text)
    file, rest = caught.value.message.split(": ", 1)
    assert file == str(tmp_path / "ogagent.toml")
    assert rest.startswith(f"{key}: ")
    assert reason in rest.removeprefix(f"{key}: ")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("content", [b"[server", b"port == 1", b"\xff\xfe", b"a = 1\na = 2"])
def test_bad_toml_names_the_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"bad\.toml: is not TOML: "):
        load(file, {}, "")


@pytest.mark.parametrize(("name", "reason"), [("absent.toml", "No such file"), (".", "Is a directory")])
def test_an_unreadable_file_is_named(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=f"cannot be read: {reason}"):
        load(tmp_path / name, {}, "")


FILE = "[ogcore]\nurl = 'https://file'\nregister = false"


@pytest.mark.parametrize(
    ("environment", "kernel", "url"),
    [
        ({}, "quiet ogagent.ogcore2=https://other", "https://file"),
        ({}, "quiet ogagent.ogcore=https://kernel splash\n", "https://kernel"),
        ({}, 'ogagent.ogcore=https://first ogagent.ogcore="https://last"', "https://last"),
        ({"OGAGENT_OGCORE_URL": "https://environment"}, "", "https://environment"),
        ({"OGAGENT_OGCORE_URL": "https://environment"}, "ogagent.ogcore=https://kernel", "https://environment"),
        ({"OGAGENT_OGCORE_URL": ""}, "ogagent.ogcore=", "https://file"),
    ],
)
def test_environment_before_kernel_before_file(
    tmp_path: Path, environment: dict[str, str], kernel: str, url: str
) -> None:
    settings = loaded(tmp_path, FILE, environment, kernel)
    assert settings.ogcore.url == url
    assert settings.ogcore.register is False


@pytest.mark.parametrize(
    ("environment", "kernel", "origin"),
    [
        ({"OGAGENT_OGCORE_URL": "http://x"}, "", "environment variable OGAGENT_OGCORE_URL"),
        ({}, "ogagent.ogcore=ogcore", "kernel parameter ogagent.ogcore"),
    ],
)
def test_a_bad_replacement_is_named_by_its_origin(
    tmp_path: Path, environment: dict[str, str], kernel: str, origin: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{origin}: ogcore.url: "):
        loaded(tmp_path, FILE, environment, kernel)


def test_networks_are_parsed(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "[access]\nallow = ['192.168.2.0/24', '::1']")
    assert settings.access.networks == (ipaddress.ip_network("192.168.2.0/24"), ipaddress.ip_network("::1/128"))
    assert ipaddress.ip_network("fc00::/7") in Settings().repository.networks


@pytest.mark.parametrize(
    ("url", "directory"),
    [
        ("file:///srv/images/{nci}.img", "/srv/images"),
        ("file:///srv/{ipr}/{nci}.img", "/srv"),
        ("file:///srv/images/room-{nci}", "/srv/images"),
        ("file:///srv/my%20images/{nci}.img", "/srv/my images"),
        ("FILE:///srv/images/{nci}.img", "/srv/images"),
        ("https://{ipr}/{nci}.img", ""),
    ],
)
def test_the_directory_of_a_repository_of_files(url: str, directory: str) -> None:
    assert Settings(repository=RepositorySettings(url=url)).repository.directory == directory
