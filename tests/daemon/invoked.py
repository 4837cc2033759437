"""Commands that run in this process."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from streamlnn.daemon.cli import cli


def run(*words: object, code: int = 0) -> Result:
    """What a command says; it ends with this code."""
    result = CliRunner().invoke(cli, list(map(str, words)))
    assert result.exit_code == code, result.output
    return result


def told(*words: object) -> Any:
    """What it says as JSON."""
    return json.loads(run(*words, "--json").stdout)
