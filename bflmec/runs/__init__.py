"""Run directories: making them, reading them, drawing them, auditing them."""
