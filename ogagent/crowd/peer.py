"""``python -m ogagent.crowd.peer``: a peer of BitTorrent, in a process of its own.

It parses what strangers send: so it gives up every right first, but for one file in one directory. It reads an Order,
and answers with a Torrent and then, for each piece that has come and is what the torrent says, with its number: each is
a line of JSON. It ends when its input does.

Settings: libtorrent's reference, and what rooms of PCs need: one connection of TCP to each, nobody beyond the room, no
search beyond the tracker and the peers themselves.
"""

from __future__ import annotations

import base64
import ctypes
import os
import select
import signal
import sys
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Final

import libtorrent as lt
import msgspec

from ogagent.crowd.order import IMAGE, Order, Torrent

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PR_SET_DUMPABLE: Final = 4
_LONGEST_ORDER: Final = 32 << 20
_IDLE_S: Final = 5.0
_CONNECTIONS: Final = 20
"""Too few of them leave islands in a large room."""
_ALL: Final = "0.0.0.0", "255.255.255.255"  # noqa: S104 - bounds, and not listened on
_TRACKER: Final = "http://{host}:6969/announce"


def main() -> int:
    order = msgspec.json.decode(sys.stdin.buffer.readline(_LONGEST_ORDER), type=Order)
    _give_up_rights(order.uid, order.gid)
    try:
        torrent = lt.torrent_info(base64.b64decode(order.torrent))
    except (RuntimeError, ValueError) as error:
        _say(Torrent(problem=f"{error}"))
        return 1
    if torrent.num_files() != 1:
        _say(Torrent(problem=f"it is of {torrent.num_files()} files"))
        return 1
    _say(Torrent(torrent.total_size(), torrent.piece_length()))
    _take_part(lt.session(_session(order)), torrent, order)
    return 0


def _give_up_rights(uid: int, gid: int) -> None:
    """For good: who is not root gets no capability back. The file stays in reach by its descriptor."""
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
        "outgoing_interfaces": "" if ip_address(order.address).is_unspecified else order.address,
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
        "max_out_request_queue": 32,
        "request_queue_time": 1,
        "max_queued_disk_bytes": 16 << 20,
        "aio_threads": 2,
        "upload_rate_limit": order.limit,
        "unchoke_slots_limit": 8 if order.uploads else 0,
        "user_agent": "",
        "peer_fingerprint": "",
    }
    params = lt.session_params()
    params.settings = settings
    params.disk_io_constructor = "posix_disk_io_constructor"
    params.ip_filter = _filter(lt.ip_filter(), order.allow)
    return params


def _filter(among: lt.ip_filter, allow: list[str]) -> lt.ip_filter:
    among.add_rule(*_ALL, 1)
    for network in map(ip_network, allow):
        if network.version == 4:
            among.add_rule(f"{network[0]}", f"{network[-1]}", 0)
    return among


def _take_part(session: lt.session, torrent: lt.torrent_info, order: Order) -> None:
    everybody = lt.ip_filter()  # peers of a private network, too, are counted and limited
    everybody.add_rule(*_ALL, 1 << int(lt.session.global_peer_class_id))
    session.set_peer_class_filter(everybody)
    pieces, length, size = torrent.num_pieces(), torrent.piece_length(), torrent.total_size()
    spans = [(number * length, min((number + 1) * length, size)) for number in range(pieces)]
    have, want = _pairs(order.have), _pairs(order.want)
    params = lt.add_torrent_params()
    params.ti = torrent
    params.save_path = f"/proc/self/fd/{order.folder}"
    params.renamed_files = {0: IMAGE}
    params.have_pieces = [any(a <= start and stop <= b for a, b in have) for start, stop in spans]
    params.piece_priorities = [4 if any(a < stop and start < b for a, b in want) else 0 for start, stop in spans]
    params.trackers = [_TRACKER.format(host=order.repository)]
    params.flags = lt.torrent_flags.no_verify_files | lt.torrent_flags.override_trackers
    params.flags |= lt.torrent_flags.override_web_seeds | lt.torrent_flags.apply_ip_filter
    session.add_torrent(params)
    for number in _finished(session):
        _say(number)


def _finished(session: lt.session) -> Iterator[int]:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    session.set_alert_fd(writing)
    while True:
        ready, _, _ = select.select([reading, sys.stdin], [], [], _IDLE_S)
        if reading in ready:
            os.read(reading, 4096)
        if sys.stdin in ready and not os.read(sys.stdin.fileno(), 4096):
            return
        for alert in session.pop_alerts():
            if isinstance(alert, lt.piece_finished_alert):
                yield alert.piece_index
            elif isinstance(alert, lt.torrent_error_alert | lt.file_error_alert):
                print(alert.message(), file=sys.stderr, flush=True)  # noqa: T201 - its parent hears it
                sys.exit(1)


def _pairs(bounds: list[int]) -> list[tuple[int, int]]:
    return list(zip(bounds[::2], bounds[1::2], strict=True))


def _say(what: Torrent | int) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
