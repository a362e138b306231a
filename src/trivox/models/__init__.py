"""Networks. They have weights, but read no files except in `weights.py`."""
