"""URLs of the configuration: what would fail at a call only is a mistake at the start."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from ogagent.errors import SettingsError
from ogagent.model.repository import image_url, is_host
from ogagent.settings import Settings, load
from tests.http.bodies import HOSTS

GOOD_HOSTS = ("repo", "og_repo.example", "repo.example.", "10.0.0.1:8080", "[::1]", "[fd00::1]:8443", "españa.example")

# By what the reason says.
ODD_HOSTS = {
    "ort": ("h:99999", "h:port", "h:+80", "h: 80", "h:8_0", "h:-1", "h:80:80"),
    "of the form": ("h:0", "h?", "h#", "h?x=y", "h#x"),
    "IPv6": ("[::1", "::1]", "[1.2.3.4]", "x[::1]", "[::1]x"),
    "neither": ("[fe80::1%eth0]", "-h", "h h", "h*", "127.1", "0x7f.1", "2130706433", ".".join(["x" * 63] * 4), "%68"),
    "too long": ("x" * 64, "ñ" * 60),
    "empty": ("a..b", ".h", "h.."),
    "": ("\u200d.example", "a\u05d0.example", "[h]", "[12:34:56]", "h\\x"),
    "printed": ("h\n.example", "h\t", "h/\x00", "h/%00"),
}
ODD_TEMPLATES = {
    "whole host": (
        *("https://repo-{ipr}.example/{nci}", "https://{ipr}.example/{nci}", "https://x{ipr}/{nci}"),
        *("https://{ipr}x/{nci}", "https://[{ipr}]/{nci}", "https://h:{ipr}/{nci}"),
        *("https://{nci}/x", "https://{ipr}{nci}", "https://{ipr}:{nci}/x", "file://{nci}", "https://{ipr}:+80/{nci}"),
    ),
    "ort": ("https://{ipr}:99999/{nci}",),
    "placeholder": (
        *("https://{ipr}/image", "https://{ipr!r}/{nci}", "https://{ipr}/{nci!r}", "https://{ipr}/{nci:>9}"),
        *("https://{ipr}/{{x}}{nci}", "https://{ipr}/{{nci}}", "https://{ipr}/{0}{nci}", "https://{ipr}/{nci}}", "{"),
    ),
    "of the form": ("https://{ipr}/x?{nci}", "https://{ipr}/x#{nci}", "file:///images?{nci}", "https://{ipr}/{nci}?"),
    "does not begin with": ("{ipr}://h/{nci}", "{nci}", "ftp://{ipr}/{nci}", "//{ipr}/{nci}"),
    "a host where": ("https:{ipr}/{nci}", "https:///{nci}", "file://h/{nci}"),
    "in its path": ("file:images/{nci}",),
    "printed": ("file:///images/%00/{nci}", "https://{ipr}/\n{nci}"),
}


def listed(kinds: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(url, reason) for reason, urls in kinds.items() for url in urls]


def loaded(folder: Path, section: str, url: str) -> Settings:
    file = folder / "ogagent.toml"
    file.write_text(f"[{section}]\nurl = {json.dumps(url)}\n")
    return load(file, {}, "")


def mistake(folder: Path, section: str, url: str) -> str:
    with pytest.raises(SettingsError) as caught:
        loaded(folder, section, url)
    file, key, reason = caught.value.message.split(": ", 2)
    assert (file, key) == (str(folder / "ogagent.toml"), f"{section}.url")
    assert "\n" not in reason
    return reason


@pytest.mark.parametrize(("host", "reason"), listed(ODD_HOSTS))
def test_odd_hosts(tmp_path: Path, host: str, reason: str) -> None:
    assert reason in mistake(tmp_path, "repository", f"https://{host}/{{nci}}")
    assert reason in mistake(tmp_path, "ogcore", f"https://{host}")


@pytest.mark.parametrize(("url", "reason"), listed(ODD_TEMPLATES))
def test_odd_templates(tmp_path: Path, url: str, reason: str) -> None:
    assert reason in mistake(tmp_path, "repository", url)


@pytest.mark.parametrize("section", ["repository", "ogcore"])
@pytest.mark.parametrize("host", ["user:s3cret@h", "s3cret@{ipr}", ":s3cret@h:+80", "s3cret@h?", "{ipr}@s3cret"])
def test_a_password_is_refused_without_being_shown(tmp_path: Path, section: str, host: str) -> None:
    reason = mistake(tmp_path, section, f"https://{host}/{{nci}}")
    assert "password" in reason
    assert "s3cret" not in reason


@pytest.mark.parametrize("host", GOOD_HOSTS)
def test_hosts_that_are_fine(tmp_path: Path, host: str) -> None:
    for section, url in (("repository", f"https://{host}/{{nci}}.img"), ("ogcore", f"https://{host}/base")):
        assert getattr(loaded(tmp_path, section, url), section).url == url


@pytest.mark.parametrize(
    "url",
    [
        *("file:///srv/images/{nci}.img", "file:///srv/my images/{ipr}/{nci}", "file:/srv/{nci}"),
        *("http://{ipr}:8080/{nci}.img", "HTTPS://{ipr}/%C3%B1/{nci}", "https://{ipr}/{ipr}/{nci}/{nci}.img"),
        "https://h/{nci}",
    ],
)
def test_templates_that_are_fine(tmp_path: Path, url: str) -> None:
    assert loaded(tmp_path, "repository", url).repository.url == url


ANYTHING = st.text(st.sampled_from("aA1.:-_/[]@?#% +\\ñ\u200d\u05d0\n\x00{}"), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANYTHING, HOSTS.filter(is_host))
def test_a_url_that_passes_is_one_for_every_request(tmp_path: Path, between: str, host: str) -> None:
    for url in (f"https://{between}/{{nci}}", f"https://{{ipr}}{between}/{{nci}}", f"file:///{between}{{nci}}"):
        with suppress(SettingsError):
            configured = loaded(tmp_path, "repository", url).repository
            location = URL(image_url(configured.url, host, "a/b"))
            assert "a/b" in location.path
            assert "\x00" not in location.path
            assert (location.raw_host or "").encode("idna") is not None
            assert not configured.directory or Path(location.path).is_relative_to(configured.directory)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANYTHING | HOSTS)
def test_so_is_that_of_ogcore(tmp_path: Path, host: str) -> None:
    with suppress(SettingsError):
        url = loaded(tmp_path, "ogcore", f"https://{host}").ogcore
        call = URL(url.call(url.webhook_path))
        assert call.raw_host
        assert call.raw_host.encode("idna")
        assert call.path.endswith(url.webhook_path)


@pytest.mark.parametrize("url", ["https://h", "https://h/", "https://h//"])
def test_a_slash_at_the_end_of_ogcores_url_is_not_doubled(tmp_path: Path, url: str) -> None:
    ogcore = loaded(tmp_path, "ogcore", url).ogcore
    assert ogcore.call(ogcore.webhook_path) == "https://h/opengnsys/rest/clients/status/webhook"


@pytest.mark.parametrize("url", ["https://{ipr}/images/{nci}.img", "file:///mnt/images/{nci}.img", ""])
def test_where_images_may_be_made(tmp_path: Path, url: str) -> None:
    assert loaded(tmp_path, "capture", url).capture.url == url


@pytest.mark.parametrize("url", ["http://{ipr}/{nci}.img", "https://{ipr}/image", "https://u:p@h/{nci}", "/mnt/{nci}"])
def test_where_they_may_not(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match=r"capture\.url: "):
        loaded(tmp_path, "capture", url)
