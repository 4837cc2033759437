"""The article's three claims for liquid networks, each as a table that can say no.

(a) adaptation: streams that switch their dynamics; (b) robustness: noise, outliers and holes;
(c) exploration: the mixture beside its experts. `--only` prints one of them. (c) uses the
recordings if their folder is known; the others are made streams. All take some 10 minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from benchmarks import claims_adaptation, claims_exploration, claims_noise
from benchmarks.common import markdown, quick_option

SEEDS = (0, 1, 2)


def adaptation(quick: bool, _data: Path | None) -> Iterator[str]:
    """Yield the table of claim (a)."""
    length, seeds = (1_000, SEEDS[:1]) if quick else (3_000, SEEDS)
    yield "Adaptation: behind a switch of the dynamics"
    yield markdown(*claims_adaptation.table(length, seeds))


def robustness(quick: bool, _data: Path | None) -> Iterator[str]:
    """Yield the table of claim (b)."""
    n, seeds = (2_000, SEEDS[:1]) if quick else (5_000, SEEDS[:1])
    yield "Robustness: error against the clean value (against the observed), deviations"
    yield markdown(*claims_noise.table(n, seeds))


def exploration(quick: bool, data: Path | None) -> Iterator[str]:
    """Yield the table of claim (c) and what it comes to."""
    length, head = (500, 2_000) if quick else (3_000, None)
    series = claims_exploration.all_series(data, length, head)
    found = [cell for one in series for cell in claims_exploration.cells(one)]
    yield "Exploration: errors in those of the best expert in hindsight"
    yield markdown(*claims_exploration.table(found))
    yield from claims_exploration.summary(found)


CLAIMS = {"adaptation": adaptation, "robustness": robustness, "exploration": exploration}


@click.command(help=__doc__)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="STREAMLNN_DATA",
    help="Folder of the recordings; else the environment variable STREAMLNN_DATA names it.",
)
@click.option("--only", type=click.Choice(list(CLAIMS)), help="One claim instead of all.")
@quick_option
def main(data: Path | None, only: str | None, quick: bool) -> None:
    """Print the tables."""
    for claim in [only] if only else CLAIMS:
        click.echo("\n\n".join(CLAIMS[claim](quick, data)) + "\n")


if __name__ == "__main__":
    main()
