"""From what a broker says to a proposed configuration: `streamlnn init --discover`.

In the order of the work: `hearing` keeps what was heard of each topic, with what `payloads` finds
in its messages; `reasons` says which topics are left out; `templates` writes the others as few
topic templates, which `naming` gives names; `stamps` and `cadence` find time and horizons;
`proposal` puts it together, and `text` writes it down for a newcomer.
"""
