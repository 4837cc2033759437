"""`benchmarks` is of the checkout, not of the wheel: it is found last, the wheel's packages first."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
