"""The second floor: what a person touches."""
