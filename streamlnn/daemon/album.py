"""The pictures of `eval`: one for each target, in numbered files where there are several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click
import matplotlib
from matplotlib.figure import Figure

from streamlnn.errors import InputUnavailable
from streamlnn.evaluation.episodes import Episode
from streamlnn.evaluation.played import Played
from streamlnn.plot.page import page

MOST_PICTURES = 32

_PRINTED: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "streamlnn", "pdf.fonttype": 42}
"""Text stays text, to be searched and edited, and names inside a file are not random."""
_UNDATED = {".svg": "Date", ".pdf": "CreationDate"}


class Album:
    """Writes one picture for each target: to `path`, or to numbered files beside it for several.

    `OUT.png` becomes `OUT-1.png`, `OUT-2.png` and so on; what each shows is told on stderr.
    Raises as `save` where no file can be written.
    """

    def __init__(self, path: Path, targets: int) -> None:
        probe(path, "--plot")
        self._path, self._targets, self._drawn = path, targets, 0

    def add(self, plays: Sequence[Played], found: Sequence[Episode]) -> None:
        """Draw all targets of one stream, whose events are `found`. Raises as `save`."""
        for played in plays:
            for m, name in enumerate(played.words.targets):
                self._drawn += 1
                if self._drawn <= MOST_PICTURES:
                    save(page(played, m, found), self._numbered(), "--plot")
                    click.echo(f"{self._numbered()}: {played.words.stream} {name}", err=True)

    def close(self) -> None:
        """Tell how many targets were left out."""
        if self._drawn > MOST_PICTURES:
            more = self._drawn - MOST_PICTURES
            click.echo(f"{more} more targets have no picture: name some with --target", err=True)

    def _numbered(self) -> Path:
        if self._targets == 1:
            return self._path
        return self._path.with_name(f"{self._path.stem}-{self._drawn}{self._path.suffix}")


def probe(path: Path, option: str) -> None:
    """Find out beforehand whether a picture could be written. Raises as `save`."""
    try:
        with TemporaryFile(dir=path.parent):
            return
    except OSError as error:
        raise _unwritable(path, error, option) from None


def save(figure: Figure, path: Path, option: str) -> None:
    """Write a picture, in the format that the ending of `path` names: the same bytes every time.

    Raises `InputUnavailable` for a file that cannot be written; `option` named it.
    """
    date = _UNDATED.get(path.suffix.lower())
    try:
        with matplotlib.rc_context(_PRINTED):
            figure.savefig(path, dpi=150, metadata={date: None} if date else None)
    except OSError as error:
        raise _unwritable(path, error, option) from None


def _unwritable(path: Path, error: OSError, option: str) -> InputUnavailable:
    return InputUnavailable(
        f"cannot write {path}: {error.strerror}; name another file for {option}"
    )
