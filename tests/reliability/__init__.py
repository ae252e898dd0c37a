"""What comes of bad input and of faults: the cases and fuzz runs behind `docs/reliability.md`."""
