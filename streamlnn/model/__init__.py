"""The ground floor: numbers and elapsed time only. No I/O, no clock, no configuration."""
