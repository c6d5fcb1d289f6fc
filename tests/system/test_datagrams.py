"""What the kernel has counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from ogagent.system.datagrams import received

NETSTAT = """\
TcpExt: SyncookiesSent InMcastPkts
TcpExt: 7 8
IpExt: InNoRoutes InMcastPkts OutMcastPkts InBcastPkts
IpExt: 1 4000 3 200
MPTcpExt: InMcastPkts
MPTcpExt: 9
"""
SNMP = """\
Ip: Forwarding InReceives
Ip: 1 5
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors
Udp: 4200 0 50 1 50
UdpLite: RcvbufErrors
UdpLite: 99
"""


def test_what_has_come(tmp_path: Path) -> None:
    (tmp_path / "netstat").write_text(NETSTAT)
    (tmp_path / "snmp").write_text(SNMP)
    assert received(tmp_path) == 4000 + 200 - 50


@pytest.mark.parametrize(
    ("netstat", "snmp"),
    [
        ("", SNMP),
        (NETSTAT, ""),
        (NETSTAT.replace("InBcastPkts", "Bcast"), SNMP),
        (NETSTAT.replace("4000", "4,0"), SNMP),
    ],
)
def test_what_is_not_counted(netstat: str, snmp: str, tmp_path: Path) -> None:
    (tmp_path / "netstat").write_text(netstat)
    (tmp_path / "snmp").write_text(snmp)
    with pytest.raises(ValueError, match=r"has no|does not count|invalid literal"):
        received(tmp_path)


def test_this_kernel_counts() -> None:
    assert received() >= 0
