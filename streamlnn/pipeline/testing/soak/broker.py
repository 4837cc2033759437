"""A real mosquitto that keeps everything: what a broker loses is outside the promise."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from streamlnn.pipeline.testing.soak.waiting import SoakFailed, free_port, listens, wait_until

_CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 30
max_queued_messages 0
max_inflight_messages 1000
set_tcp_nodelay true
log_type error
log_type warning
log_type notice
"""
_START_SECS = 60.0
_END_SECS = 120.0


def find_mosquitto() -> str | None:
    """Return the broker's program, which Debian keeps outside an ordinary user's PATH."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Broker:
    """One mosquitto on a free port of the loopback, the same over restarts; files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        folder.mkdir(parents=True)
        self._config = folder / "mosquitto.conf"
        owner = "user root\n" if os.geteuid() == 0 else ""
        self._config.write_text(owner + _CONFIG.format(port=self.port, folder=folder))
        self._log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it, and return once it accepts connections. Raises `SoakFailed`."""
        program = find_mosquitto()
        if program is None:
            raise SoakFailed("mosquitto is not installed: apt-get install mosquitto")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - found by us
                [program, "-c", str(self._config)], stdout=log, stderr=log
            )
        wait_until(self._is_up, "mosquitto to listen", _START_SECS)

    def stop(self) -> None:
        """End it as a service manager would: it writes down what it holds."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._wait()
            self._process = None

    def restart(self, secs: float) -> None:
        """Stop it, and start it again after `secs`."""
        self.stop()
        time.sleep(secs)
        self.start()

    def freeze(self, secs: float) -> None:
        """Stop it in its tracks for so long: its connections stand, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(secs)
        self._process.send_signal(signal.SIGCONT)

    def _wait(self) -> None:
        assert self._process is not None
        try:
            self._process.wait(_END_SECS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise SoakFailed(f"mosquitto did not end within {_END_SECS:g} s") from None

    def _is_up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise SoakFailed(f"mosquitto ended: {self._log.read_text()[-500:]}")
        return listens(self.port)
