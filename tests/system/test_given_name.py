"""The name that a machine was given, wherever that is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from ogagent.system.given_name import given_name

LEASE = 'lease {\n  interface "eth0";\n  option host-name "old";\n}\nlease {\n  option host-name "pc5";\n}\n'


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"proc/cmdline": "quiet hostname=pc1 ro"}, "pc1"),
        ({"proc/cmdline": "systemd.hostname=pc2.aula.es hostname=pc1"}, "pc2"),
        ({"proc/cmdline": "ip=192.168.2.3:192.168.2.1:192.168.2.1:255.255.255.0:pc3:eth0:none"}, "pc3"),
        ({"proc/cmdline": "ip=dhcp"}, ""),
        ({"proc/cmdline": "hostname=a hostname=b"}, "b"),
        ({"run/net-eth0.conf": "DEVICE='eth0'\nHOSTNAME='pc4'\n"}, "pc4"),
        ({"run/systemd/netif/leases/2": "ADDRESS=192.168.2.3\nHOSTNAME=pc6\n"}, "pc6"),
        ({"var/lib/dhcp/dhclient.eth0.leases": LEASE}, "pc5"),
        ({"proc/sys/kernel/hostname": "pc7\n"}, "pc7"),
        ({"proc/sys/kernel/hostname": "oglive\n"}, ""),
        ({"proc/sys/kernel/hostname": "localhost.localdomain\n"}, ""),
        ({"proc/cmdline": "hostname=$(reboot)", "proc/sys/kernel/hostname": "pc8"}, "pc8"),
        ({"proc/cmdline": "hostname=pc1", "proc/sys/kernel/hostname": "pc9"}, "pc1"),
        ({}, ""),
    ],
)
def test_a_name(tmp_path: Path, files: dict[str, str], name: str) -> None:
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert given_name(tmp_path) == name
