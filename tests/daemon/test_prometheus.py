"""A real Prometheus scrapes a real daemon, both as docker/ has them; every panel has something.

The dashboard's queries are asked as Grafana would ask them, with its variables filled in from what
Prometheus knows.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from brokers import Broker, MakeBroker, free_port, wait_until
from daemons import running
from prometheuses import DOCKER, Prometheus, find, mapped, scraping

BOARD = json.loads((DOCKER / "grafana" / "streamlnn.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
_NAME = re.compile(r"streamlnn_[a-z_]+")


def published(broker: Broker, stopped: threading.Event) -> None:
    """Say a value every 50 ms, after what nobody can read and a pause that is a gap."""
    broker.publish("sensors/demo/tank/telemetry", "{broken")
    broker.publish("sensors/demo/words/telemetry", '{"value": "full"}')
    n = 0
    while not stopped.wait(1.5 if n == 60 else 0.05):
        n += 1
        broker.publish("sensors/demo/tank/telemetry", json.dumps({"value": n % 20}))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with configurations of a daemon and of Prometheus, and the broker's secrets."""
    find("prometheus")
    place = tmp_path_factory.mktemp("monitored")
    for name in ("mqtt_password", "http_token"):
        (place / name).write_text("s3cret")
        (place / name).chmod(0o600)
    users = place / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", users, "streamlnn", "s3cret"], check=True)
    return place


@pytest.fixture(scope="module")
def prometheus(told: Path, make_lasting_broker: MakeBroker) -> Iterator[Prometheus]:
    """Prometheus, scraping the daemon, to which a sensor speaks."""
    broker = make_lasting_broker(f"password_file {told / 'passwords'}", anonymous=False)
    broker.login = ("streamlnn", "s3cret")
    http, secrets = free_port(), f"{told}/"
    places = {"mqtt://mosquitto:1883": broker.url, "0.0.0.0:8642": f"127.0.0.1:{http}"}
    config = told / "compose.toml"
    config.write_text(
        mapped(config.name, {**places, '"/data"': f'"{told}/data"', "/run/secrets/": secrets})
    )
    scrape = told / "prometheus.yml"
    places = {"streamlnn:8642": f"127.0.0.1:{http}", "15s": "1s", "/run/secrets/": secrets}
    scrape.write_text(mapped(scrape.name, {**places, "alerts.yml": f"{DOCKER}/alerts.yml"}))
    stopped = threading.Event()
    speaker = threading.Thread(target=published, args=(broker, stopped))
    with running(config, http), scraping(scrape) as made:
        speaker.start()
        yield made
        stopped.set()
        speaker.join()


@pytest.fixture(scope="module")
def chosen(prometheus: Prometheus) -> dict[str, str]:
    """The dashboard's variables, each with the first value that Prometheus knows for it."""
    values = {"__rate_interval": "10s"}
    for variable in BOARD["templating"]["list"]:
        query = filled(variable["query"]["query"], values)
        fits = re.compile(variable.get("regex", "").strip("/"))
        wait_until(lambda query=query, fits=fits: label_values(prometheus, query, fits), query)
        known = label_values(prometheus, query, fits)
        values[variable["name"]] = "10s" if "10s" in known else known[0]
    return values


def label_values(prometheus: Prometheus, query: str, fits: re.Pattern[str]) -> list[str]:
    """What Grafana offers for a variable."""
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
    assert found, query
    values = prometheus.ask(f"label/{found[2]}/values", **{"match[]": found[1]})
    return list(filter(fits.search, values))


def filled(query: str, values: dict[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], query)


def test_prometheus_scrapes_the_daemon_with_its_token(prometheus: Prometheus) -> None:
    wait_until(lambda: len(prometheus.query("up == 1")) == 2, "both jobs")
    jobs = {one["metric"]["job"] for one in prometheus.query("up == 1")}
    assert jobs == {"streamlnn", "streamlnn-streams"}


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_every_query_of_a_panel_has_an_answer(
    prometheus: Prometheus, chosen: dict[str, str], panel: dict[str, Any]
) -> None:
    assert panel["targets"]
    for target in panel["targets"]:
        expression = filled(target["expr"], chosen)
        wait_until(lambda query=expression: prometheus.query(query) != [], expression, secs=40)


def test_the_alerts_know_their_metrics_and_none_is_raised(
    prometheus: Prometheus,
) -> None:
    def rules() -> list[dict[str, Any]]:
        [group] = prometheus.ask("rules")["groups"]
        return list(group["rules"])

    wait_until(lambda: all(rule["health"] == "ok" for rule in rules()), "a look at the rules")
    assert len(rules()) == 8
    for rule in rules():
        assert rule["state"] == "inactive" or rule["name"] == "StreamlnnUnreadable"
        for name in _NAME.findall(rule["query"].replace('"streamlnn"', "")):
            wait_until(lambda query=name: prometheus.query(query) != [], name)


def test_the_metrics_please_promtool(prometheus: Prometheus) -> None:
    wait_until(lambda: prometheus.query("up == 1") != [], "a scrape")
    headers = {"Authorization": "Bearer s3cret"}
    for target in prometheus.ask("targets")["activeTargets"]:
        with urlopen(Request(target["scrapeUrl"], headers=headers), timeout=10) as answer:
            text = answer.read()
        done = subprocess.run([find("promtool"), "check", "metrics"], input=text, timeout=30)
        assert done.returncode == 0


@pytest.mark.parametrize(
    "arguments", [("check", "rules", "alerts.yml"), ("test", "rules", "alerts.test.yml")]
)
def test_the_alerts_please_promtool(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [find("promtool"), *arguments], cwd=DOCKER, capture_output=True, timeout=60, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
