"""Whether people who look on hold up the daemon, and whether what they see moves smoothly.

A daemon takes 200 streams of 5 samples a second each over MQTT and publishes a forecast for each;
by turns nobody looks, and three browsers show its page, each another stream in full. How long a
forecast takes from the sample's publication to its own arrival is told for both, early and late in
each turn: a queue that grows would show. So is the processor time of the daemon. In the pages the
time from one frame of the browser to the next is measured, and how old the newest sample is that
they show. The browsers are run at the lowest priority: they would be on other machines. Needs the
extra `dev`, Chromium and Linux.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import click
import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.common import markdown
from benchmarks.mqtt_traffic import free_port, stock_broker

CONFIG = """
[daemon]
instance = "bench"
data_dir = "{folder}/data"
[http]
listen = "127.0.0.1:{http}"
[[source]]
kind = "mqtt"
id = "plant"
url = "mqtt://127.0.0.1:{mqtt}"
[[sink]]
kind = "mqtt"
via = "plant"
[[stream]]
topic = "in/{{n}}"
id = "{{n}}"
time = {{ path = "t", format = "unix_ms" }}
fields = {{ v = "v" }}
horizons = ["1s", "10s", "60s"]
"""
FRAMES = """() => {
  window.frames_ms = []; let last = performance.now();
  const next = () => { const now = performance.now(); window.frames_ms.push(now - last); last = now;
    requestAnimationFrame(next); };
  requestAnimationFrame(next);
}"""
AGE = """() => {
  const line = document.getElementById('fan').data.find((t) => t.name === 'measured');
  return Date.now() - new Date(line.x.at(-1)).getTime(); }"""


def feed(port: int, streams: int, rate: float) -> None:
    """Publish at QoS 1, evenly in time, until killed."""
    client = _client(port)
    n, began = 0, time.monotonic()
    while True:
        for _ in range(n, int((time.monotonic() - began) * streams * rate)):
            value = 5 + np.sin(n / streams / 7 + n % streams)
            sample = {"t": round(time.time() * 1000), "v": round(float(value), 4)}
            client.publish(f"in/{n % streams}", json.dumps(sample), 1)
            n += 1
        time.sleep(0.01)


def listen(port: int, found: Any) -> None:
    """Put (moment, milliseconds from the sample to its forecast) into `found`, once a second."""
    waits: list[tuple[float, float]] = []

    def heard(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        now = time.time()
        text = json.loads(message.payload)["time"]
        waits.append((now, 1e3 * (now - np.datetime64(text[:-1], "ns").astype(int) / 1e9)))

    client = _client(port)
    client.on_message = heard
    client.subscribe("streamlnn/bench/stream/+/forecast", 1)
    while True:
        time.sleep(1)
        found.put(waits[:])
        waits.clear()


def _client(port: int) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


@contextmanager
def daemon(folder: Path, mqtt: int) -> Iterator[tuple[int, str]]:
    """Run the daemon; give its process and the page's address once it is ready."""
    http = free_port()
    config = folder / "pipeline.toml"
    config.write_text(CONFIG.format(folder=folder, http=http, mqtt=mqtt))
    command = [sys.executable, "-m", "streamlnn", "run", str(config)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        address = f"http://127.0.0.1:{http}/"
        _wait_ready(f"{address}readyz")
        yield process.pid, address
    finally:
        process.terminate()
        process.wait()


def _wait_ready(address: str) -> None:
    for _ in range(600):
        try:
            with closing(urlopen(address, timeout=5)):  # noqa: S310
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the daemon did not get ready in two minutes")


def give_way() -> None:
    """Let Chromium have what the others leave, and nothing else: it is in a session of its own."""
    for pid in subprocess.run(["pgrep", "chrom"], stdout=subprocess.PIPE, text=True).stdout.split():  # noqa: S607
        Path(f"/proc/{pid}/autogroup").write_text("19")


def look(browser: Browser, address: str, stream: int) -> Page:
    """Open the page of one stream, and begin to count its frames."""
    page = browser.new_page()
    page.goto(f"{address}#/{stream}")
    page.wait_for_selector("#fan .main-svg", timeout=60_000)
    page.evaluate(FRAMES)
    return page


def turn(found: Any, secs: float, pid: int) -> tuple[np.ndarray[Any, Any], float]:
    """Return what is heard in so many seconds, (n, 2), and the share of a core the daemon took."""
    while not found.empty():
        found.get()
    began, used = time.time(), _processor_secs(pid)
    heard: list[tuple[float, float]] = []
    while time.time() < began + secs:
        heard += found.get()
    share = (_processor_secs(pid) - used) / (time.time() - began)
    return np.array(heard), share


def _processor_secs(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@click.command(help=__doc__)
@click.option("--streams", default=200, show_default=True)
@click.option("--rate", default=5.0, show_default=True, help="Samples a second of each stream.")
@click.option("--pages", default=3, show_default=True)
@click.option("--secs", default=30.0, show_default=True, help="Of each turn.")
@click.option("--rounds", default=3, show_default=True)
def main(streams: int, rate: float, pages: int, secs: float, rounds: int) -> None:
    """Print the tables."""
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    turns: dict[str, list[Any]] = {"nobody looks": [], f"{pages} pages": []}
    frames: list[float] = []
    ages: list[float] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mqtt = stack.enter_context(stock_broker(folder))
        pid, address = stack.enter_context(daemon(folder, mqtt))
        for work, args in ((listen, (mqtt, found)), (feed, (mqtt, streams, rate))):
            process = context.Process(target=work, args=args, daemon=True)  # type: ignore[arg-type]
            process.start()
            stack.callback(process.kill)
        tools = stack.enter_context(sync_playwright())
        time.sleep(20)
        for _ in range(rounds):
            turns["nobody looks"].append(turn(found, secs, pid))
            browser = tools.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            give_way()
            opened = [look(browser, address, n) for n in range(pages)]
            turns[f"{pages} pages"].append(turn(found, secs, pid))
            frames += [one for page in opened for one in page.evaluate("() => window.frames_ms")]
            ages += [page.evaluate(AGE) for page in opened]
            browser.close()
    click.echo(_table(turns))
    share = np.mean(np.array(frames) > 100)
    click.echo(f"\nFrames of the pages: {np.median(frames):.0f} ms in the median,")
    click.echo(f"{np.percentile(frames, 99):.0f} ms in the 99th percentile; {share:.1%} take over")
    click.echo(f"100 ms. What they show is {np.median(ages):.0f} ms old, {max(ages):.0f} at most.")


def _table(turns: dict[str, list[Any]]) -> str:
    rows = []
    for name, told in turns.items():
        heard = [one for one, _ in told]
        early, late = (np.concatenate([_third(one, k) for one in heard]) for k in (0, 2))
        whole = np.concatenate(heard)[:, 1]
        waits = (np.median(whole), np.percentile(whole, 99), np.median(early), np.median(late))
        rate = len(whole) / sum(one[-1, 0] - one[0, 0] for one in heard)
        share = f"{np.mean([one for _, one in told]):.0%}"
        rows.append((name, f"{rate:,.0f}/s", *(f"{one:.0f} ms" for one in waits), share))
    head = ["", "forecasts", "median", "99th percentile", "median, first third", "last third"]
    head.append("of a core")
    return markdown(head, rows)


def _third(heard: Any, k: int) -> Any:
    start, end = heard[0, 0], heard[-1, 0]
    place = (heard[:, 0] - start) / (end - start) * 3
    return heard[(place >= k) & (place <= k + 1), 1]


if __name__ == "__main__":
    main()
