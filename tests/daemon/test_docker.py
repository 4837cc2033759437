"""The files of docker/ agree with one another and with the program: users, paths, extras, ports."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from brokers import find_mosquitto, free_port, listens, wait_until
from daemons import command
from prometheuses import DOCKER, mapped

from streamlnn.model import stepping

ROOT = DOCKER.parent
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
CONFIG = tomllib.loads((DOCKER / "compose.toml").read_text())


def mounts(service: str) -> dict[str, str]:
    """What is mounted where: a path of docker/, or a volume's name."""
    pairs = [one.removesuffix(":ro").split(":") for one in SERVICES[service]["volumes"]]
    return {inside: outside for outside, inside in pairs}


@pytest.mark.parametrize("name", ["pipeline.toml", "compose.toml"])
def test_a_shipped_configuration_passes_the_check(name: str, tmp_path: Path) -> None:
    text = (DOCKER / name).read_text().replace('"/data"', f'"{tmp_path}"')
    for path in re.findall(r'"(/run/secrets/\w+)"', text):
        secret = tmp_path / Path(path).name
        secret.write_text("s3cret")
        secret.chmod(0o600)
        text = text.replace(path, str(secret))
    config = tmp_path / name
    config.write_text(text)
    environment = {**os.environ, "STREAMLNN_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        command("check", config), capture_output=True, timeout=60, env=environment, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_image_installs_extras_that_exist_and_compiles_what_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [extras] = re.findall(r"install .*'\.\[(.+)\]'", DOCKERFILE)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    [imported] = re.findall(r"'from streamlnn\.model import (\w+); \1\.warm\(\)'", DOCKERFILE)
    assert callable(getattr({"stepping": stepping}[imported], "warm"))  # noqa: B009
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        ignored = (ROOT / ".dockerignore").read_text().splitlines()
        for name in copied.split():
            assert (ROOT / name).exists()
            assert f"!{name}" in ignored


def test_the_image_runs_as_one_fixed_user_that_owns_the_volume() -> None:
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert users == ["8642:8642"]
    assert set(re.findall(r"(?:--uid|--gid|-o|-g) (\d+)", DOCKERFILE)) == {"8642"}
    assert re.findall(r"--chown=(\S+)", DOCKERFILE) == users
    assert "VOLUME /data" in DOCKERFILE
    assert mounts("streamlnn")["/data"] == "streamlnn-data"
    assert CONFIG["daemon"]["data_dir"] == "/data"
    [cache] = set(re.findall(r"NUMBA_CACHE_DIR=(\S+)", DOCKERFILE))
    assert cache.startswith("/data/")


def test_the_daemon_finds_its_configuration_and_its_port_in_compose() -> None:
    [config] = re.findall(r"STREAMLNN_CONFIG=(\S+)", DOCKERFILE)
    assert mounts("streamlnn")[config] == "./compose.toml"
    assert config.startswith("/etc/streamlnn/")
    assert config in (DOCKER / "streamlnn.service").read_text()
    port = CONFIG["http"]["listen"].rpartition(":")[2]
    assert SERVICES["streamlnn"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"EXPOSE {port}" in DOCKERFILE
    scraped = yaml.safe_load((DOCKER / "prometheus.yml").read_text())["scrape_configs"]
    targets = [one["static_configs"][0]["targets"] for one in scraped]
    assert targets == [[f"streamlnn:{port}"]] * 2
    assert CONFIG["source"][0]["url"] == "mqtt://mosquitto:1883"


def test_every_secret_and_every_file_that_compose_names_is_used_and_there() -> None:
    asked = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert asked == set(COMPOSE["secrets"])
    header = (DOCKER / "compose.yaml").read_text().partition("services:")[0]
    assert all(f" {name}" in header for name in asked), "the instructions make them all"
    for name in SERVICES:
        assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
        for outside in mounts(name).values() if "volumes" in SERVICES[name] else []:
            assert outside in COMPOSE["volumes"] or (DOCKER / outside).exists()


def test_grafana_finds_the_dashboard_and_the_dashboard_its_source() -> None:
    place = DOCKER / "grafana" / "provisioning"
    [provider] = yaml.safe_load((place / "dashboards" / "streamlnn.yaml").read_text())["providers"]
    folder = provider["options"]["path"]
    assert mounts("grafana")[f"{folder}/streamlnn.json"] == "./grafana/streamlnn.json"
    [source] = yaml.safe_load((place / "datasources" / "prometheus.yaml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    board = (DOCKER / "grafana" / "streamlnn.json").read_text()
    assert set(re.findall(r'"type": "prometheus", "uid": "(\w+)"', board)) == {source["uid"]}
    panels = json.loads(board)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.skipif(find_mosquitto() is None, reason="needs mosquitto")
def test_the_broker_starts_as_compose_says_and_lets_in_whom_it_knows(tmp_path: Path) -> None:
    port, data = free_port(), f"{tmp_path}/"
    lines = "user root\n" if os.geteuid() == 0 else ""
    places = {"listener 1883": f"listener {port} 127.0.0.1", "/mosquitto/data/": data}
    (tmp_path / "mosquitto.conf").write_text(lines + mapped("mosquitto.conf", places))
    (tmp_path / "secret").write_text("s3cret")
    [script] = SERVICES["mosquitto"]["command"]
    for place, here in {
        "$$": "$",
        "/mosquitto/data/": data,
        "/run/secrets/mqtt_password": data + "secret",
        "/mosquitto/config/": data,
        "exec mosquitto": f"exec {find_mosquitto()}",
    }.items():
        assert place in script
        script = script.replace(place, here)
    process = subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(port), "the broker")
        assert [published(port, "streamlnn", word) for word in ("s3cret", "wrong")] == [0, 5]
    finally:
        process.terminate()
        process.wait(20)


def published(port: int, user: str, password: str) -> int:
    """Publish as somebody, and return what mosquitto_pub ends with."""
    login = ["-u", user, "-P", password]
    return subprocess.run(
        ["mosquitto_pub", "-p", str(port), "-t", "x", "-m", "1", "-q", "1", *login],
        capture_output=True,
        timeout=20,
    ).returncode
