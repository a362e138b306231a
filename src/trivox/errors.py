"""The one exception that tells a user what is wrong with what they gave."""


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is one sentence in three parts: what was given (with its path or name), what was expected,
    and what to do. The command line prints it and exits with code 2; there is never a traceback. Our own
    broken invariants are `assert`s, not this.
    """
