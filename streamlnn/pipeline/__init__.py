"""The first floor: carries records from sources to sinks; knows no protocol."""
