"""Side doors into other people's worlds: each is an extra, imported only when asked for."""
