"""What every floor stands on: files opened with care, written whole, and folders that one run has to itself."""
