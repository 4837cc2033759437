"""`python -m streamlnn` is `streamlnn`."""

from streamlnn.daemon.cli import main

main()
