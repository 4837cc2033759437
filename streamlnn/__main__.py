from streamlnn.daemon.cli import main

main()
