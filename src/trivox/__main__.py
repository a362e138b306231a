"""`python -m trivox` is `trivox`."""

from trivox.cli import main

if __name__ == "__main__":
    main()
