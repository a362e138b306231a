"""People, rooms and rigs with exact truth: drawn from a seed, rendered on a CPU."""
