"""The one exception that means "the user can mend this"."""


class SapgganError(Exception):
    """A problem with the user's input or machine, in one sentence: what is wrong, where, and what to do.

    The `sapggan` command prints the message alone and exits with 1; anything else is a bug and shows a traceback.
    """
