"""From what a broker says to a proposed configuration: `streamlnn init --discover`.

In the order of the work: `hearing` keeps what was heard of each topic, with what `payloads` and, of
line protocol, `points` find in its messages; `reasons` says which topics are left out; `templates`
writes the others as few topic templates, which `naming` gives names; `stamps` and `cadence` find
time, pace and horizons, `targets` what is worth a forecast; `proposal`, and `series` for line
protocol, put it together as `tables`, and `text` writes it down for a newcomer.
"""
