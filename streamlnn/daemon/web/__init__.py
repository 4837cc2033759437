"""What people see in a browser: `page` (files and policy), `past` and `live` (what it is told).

`history` keeps the latest hours of every stream for it. The files themselves are in `static`.
"""
