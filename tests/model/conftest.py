"""`benchmarks` is of the checkout, not of the wheel: looked for last, after what is installed."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
