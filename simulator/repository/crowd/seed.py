"""``python -m simulator.repository.crowd.seed``: gives one image to the PCs that fetch it from each other.

libtorrent reads what strangers send: it has a process of its own.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import libtorrent as lt

_LOOK_EVERY_MS: Final = 500
_SETTINGS: Final[dict[str, Any]] = {
    "user_agent": "ogsim",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    # In a room uTP is many times slower than TCP (its issues 6667, 3542), and RC4 is no protection.
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "in_enc_policy": lt.enc_policy.disabled,
    "out_enc_policy": lt.enc_policy.disabled,
    "mixed_mode_algorithm": lt.bandwidth_mixed_algo_t.prefer_tcp,
    "choking_algorithm": lt.choking_algorithm_t.fixed_slots_choker,
    "seed_choking_algorithm": lt.seed_choking_algorithm_t.round_robin,
    "unchoke_slots_limit": 8,
    "connections_limit": 200,
    "aio_threads": 2,
    "max_queued_disk_bytes": 16 << 20,
    "min_announce_interval": 15,
    "announce_to_all_trackers": True,
    "announce_to_all_tiers": True,
    # In a lab all PCs have this machine's loopback addresses.
    "allow_multiple_connections_per_ip": True,
    "alert_mask": lt.alert_category.error | lt.alert_category.status | lt.alert_category.tracker
    | lt.alert_category.storage,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Until SIGTERM, or until nobody has been connected for ``--idle`` seconds."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    session = lt.session(_parameters(options))
    if options.mbit:
        _limit_in_the_room(session, options.mbit * 1_000_000 // 8)
    handle = session.add_torrent(_torrent(options))
    idle_since, giving = time.monotonic(), False
    while time.monotonic() < idle_since + options.idle:
        session.wait_for_alert(_LOOK_EVERY_MS)
        for alert in session.pop_alerts():
            _tell(alert)
            if isinstance(alert, lt.torrent_error_alert | lt.hash_failed_alert):
                print(f"the image cannot be given: {alert.message()}", flush=True)  # noqa: T201 - for its parent
                return 1
        status = handle.status()
        if status.num_peers:
            idle_since = time.monotonic()
        if status.total_payload_upload and not giving:
            giving = True
            print("giving", flush=True)  # noqa: T201 - likewise
    print(f"nobody has come for {options.idle} seconds", flush=True)  # noqa: T201 - likewise
    return 0


def _tell(alert: lt.alert) -> None:
    """One line for what its parent waits for, and for what is wrong."""
    match alert:
        case lt.listen_succeeded_alert():
            print(f"listening on {alert.address}:{alert.port}", flush=True)  # noqa: T201 - for its parent
        case lt.listen_failed_alert() | lt.tracker_error_alert() | lt.file_error_alert():
            print(alert.message(), flush=True)  # noqa: T201 - likewise


def _parameters(options: argparse.Namespace) -> lt.session_params:
    parameters = lt.session_params()
    settings = _SETTINGS | {"listen_interfaces": f"{options.address}:{options.port}"}
    parameters.settings = cast("lt.settings_pack", settings)
    # A piece that it has is in the file, at once.
    parameters.disk_io_constructor = "posix_disk_io_constructor"
    return parameters


def _limit_in_the_room(session: lt.session, rate: int) -> None:
    """``rate`` in bytes a second. Private addresses are exempt from limits, unless they are counted with the others."""
    everybody = lt.ip_filter()
    everybody.add_rule("0.0.0.0", "255.255.255.255", 1 << lt.session.global_peer_class_id)  # noqa: S104 - all there are
    session.set_peer_class_filter(everybody)
    session.apply_settings({"upload_rate_limit": rate})


def _torrent(options: argparse.Namespace) -> lt.add_torrent_params:
    """Each piece is proven when somebody asks for it first. Nothing is fetched: another version may have the name by
    then, and the pieces of this one that PCs have would be written over it.
    """
    torrent = lt.load_torrent_file(str(options.image) + ".torrent")
    torrent.save_path = str(options.image.parent)
    torrent.renamed_files = {0: options.image.name}
    torrent.trackers = [options.tracker, *(each for each in torrent.trackers if each != options.tracker)]
    torrent.flags |= lt.torrent_flags.seed_mode | lt.torrent_flags.upload_mode
    torrent.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    return torrent


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Gives one image to whoever fetches it by BitTorrent.")
    parser.add_argument("image", type=Path, help="with its .torrent beside it")
    parser.add_argument("--tracker", required=True, metavar="URL")
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, default=0, help="0 for any")
    parser.add_argument("--mbit", type=int, default=0, metavar="N", help="no more than so many megabits a second")
    parser.add_argument(
        "--idle", type=int, default=600, metavar="SECONDS", help="it ends when nobody comes for so long"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
