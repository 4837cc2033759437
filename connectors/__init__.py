"""The border: one file per system that streamlnn talks to.

A connector imports only `streamlnn.pipeline.contract`, `streamlnn.model.records` and the library
of its system. Nobody names it by its path: a configuration says `kind = "mqtt"`, which is an entry
point of this distribution as it would be of yours. To add one, write a class that keeps the
promises of `streamlnn.pipeline.contract`, declare it in your `pyproject.toml`:

    [project.entry-points."streamlnn.sources"]
    opcua = "streamlnn_opcua:OpcUaSource"

and run the suites of `streamlnn.pipeline.testing` on it.
"""
