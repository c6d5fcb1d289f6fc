"""``python -m ogagent.crowd.peer``: a peer of BitTorrent, in a process of its own.

It parses what strangers send: so it gives up every right first, but for files that it has been handed. It ends when its
input does. What it is told, and says: ``ogagent.crowd.order``.

Settings: libtorrent's reference, and what rooms of PCs need: one connection of TCP to each, nobody beyond the room, no
search beyond the tracker and the peers themselves.
"""

from __future__ import annotations

import base64
import ctypes
import os
import signal
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

import libtorrent as lt
import msgspec

from ogagent.crowd.order import Order, Share, Torrent, Word
from ogagent.crowd.part import FILES, Hearing, Part

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PR_SET_DUMPABLE: Final = 4
_CONNECTIONS: Final = 20
"""Too few of them leave islands in a large room."""
_RECONNECT_S: Final = 1
"""Whoever has gone is soon known to have: after three attempts nothing is hoped of him."""
_ANNOUNCED_S: Final = 15
"""At least so long lies between two; what the tracker says counts above that."""
_ALL: Final = ("0.0.0.0", "255.255.255.255"), ("::", ":".join(["ffff"] * 8))  # noqa: S104 - bounds, not listened on
"""Of IPv6, too: a card that is named may have it."""


def main() -> int:
    hearing = Hearing(sys.stdin.fileno())
    order = msgspec.json.decode(hearing.line(), type=Order)
    _give_up_rights(order.uid, order.gid)
    session = lt.session(_session(order))
    everybody = lt.ip_filter()  # peers of a private network, too, are counted and limited
    for each in _ALL:
        everybody.add_rule(*each, 1 << int(lt.session.global_peer_class_id))
    session.set_peer_class_filter(everybody)
    part = Part(session)
    for number, share in enumerate(order.shares):
        torrent = _torrent(share)
        if isinstance(torrent, Torrent):
            _say(torrent)
        else:
            _say(Torrent(torrent.total_size(), torrent.piece_length()))
            part.add(number, share, torrent)
    for word in part.words(hearing):
        _say(word)
    return 1 if part.failed else 0


def _give_up_rights(uid: int, gid: int) -> None:
    """For good: who is not root gets no capability back. The files stay in reach by their descriptors."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)  # otherwise /proc/self is root's
    prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)  # forgotten with another uid
    if os.getppid() == 1:
        sys.exit("the agent has died")


def _session(order: Order) -> lt.session_params:
    settings: lt.settings_pack = {
        "listen_interfaces": f"{order.address}:{order.port}",
        "outgoing_interfaces": _calling_from(order.address),
        "alert_mask": int(lt.alert_category.piece_progress | lt.alert_category.error),
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_incoming_utp": False,
        "enable_outgoing_utp": False,
        "in_enc_policy": int(lt.enc_policy.pe_disabled),
        "out_enc_policy": int(lt.enc_policy.pe_disabled),
        "allow_multiple_connections_per_ip": False,
        "connections_limit": _CONNECTIONS,
        "min_reconnect_time": _RECONNECT_S,
        "min_announce_interval": _ANNOUNCED_S,
        "max_out_request_queue": 32,
        "request_queue_time": 1,
        "max_queued_disk_bytes": 16 << 20,
        "aio_threads": 2,
        "upload_rate_limit": order.limit,
        "unchoke_slots_limit": 8 if order.uploads else 0,
        "allowed_fast_set_size": 5 if order.uploads else 0,
        "user_agent": "",
        "peer_fingerprint": "",
    }
    params = lt.session_params()
    params.settings = settings
    params.disk_io_constructor = "posix_disk_io_constructor"
    params.ip_filter = _filter(lt.ip_filter(), order.allow)
    return params


def _calling_from(address: str) -> str:
    """Empty: whichever leads there. What is no address is the name of a card."""
    try:
        return "" if ip_address(address).is_unspecified else address
    except ValueError:
        return address


def _filter(among: lt.ip_filter, allow: list[str]) -> lt.ip_filter:
    for each in _ALL:
        among.add_rule(*each, 1)
    for network in map(ip_network, allow):
        among.add_rule(f"{network[0]}", f"{network[-1]}", 0)
    return among


def _torrent(share: Share) -> lt.torrent_info | Torrent:
    """What is wrong with it, where it cannot be used."""
    try:
        torrent = lt.torrent_info(base64.b64decode(share.torrent))
    except (RuntimeError, ValueError) as error:
        return Torrent(problem=f"{error}")
    if torrent.num_files() != 1:
        return Torrent(problem=f"it is of {torrent.num_files()} files")
    if share.whole and (size := Path(FILES, share.place).stat().st_size) != torrent.total_size():
        return Torrent(problem=f"it is of {torrent.total_size()} bytes, the image has {size}")
    return torrent


def _say(what: Word) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
