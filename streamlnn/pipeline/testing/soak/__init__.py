"""The oracle for the whole daemon: real broker, real process, real kills, and a reference.

It hands out samples whose identity it knows, remembers which the broker confirmed, does harm to the
daemon and to the broker by a plan drawn from a seed, and ends with a calm in which all is taken and
a fresh sample must get through. Then nothing confirmed may be missing from the journal, and what a
consumer heard must equal, bit for bit, a replay of the same samples that nobody disturbed.

To read on: `samples` (what is sent), `plan` (what harm comes when), `broker`, `daemon`,
`publisher`, `consumer` and `line` (the players), `course` (how it goes), `tally`, `records` and
`checks` (what is compared), `report`.
"""
