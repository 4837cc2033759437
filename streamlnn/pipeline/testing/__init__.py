"""For the tests of connectors, ours and yours: parts that play their roles, and suites.

A suite is a class of tests, one property each. Derive from it, say how your connector is made,
and let pytest find it::

    class TestMine(ResumableSourceSuite):
        def make(self):
            return MySource(...)          # new, not connected, on the same other side

        def expected(self):
            return [b"first", b"second"]  # the payloads that the other side holds

Nothing here needs pytest; `CodecSuite` needs hypothesis. For the whole daemon there is an oracle:
`python -m streamlnn.pipeline.testing soak` (see `streamlnn.pipeline.testing.soak`).
"""

from __future__ import annotations

from streamlnn.pipeline.testing.codec_suite import CodecSuite
from streamlnn.pipeline.testing.scripted import (
    ABORT,
    DROP,
    Abort,
    CollectingSink,
    FakeClock,
    ScriptedSettings,
    ScriptedSource,
)
from streamlnn.pipeline.testing.sink_suite import SinkSuite, outputs
from streamlnn.pipeline.testing.source_suites import (
    PATIENCE,
    ResumableSourceSuite,
    SourceSuite,
    payloads,
    read_all,
)

__all__ = [
    "ABORT",
    "DROP",
    "PATIENCE",
    "Abort",
    "CodecSuite",
    "CollectingSink",
    "FakeClock",
    "ResumableSourceSuite",
    "ScriptedSettings",
    "ScriptedSource",
    "SinkSuite",
    "SourceSuite",
    "outputs",
    "payloads",
    "read_all",
]
