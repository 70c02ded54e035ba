"""What the user is told when something is wrong: one line that says what, where and what to do.

The command line prints the message without a traceback and leaves with `exit_code`.
"""


class CjdError(Exception):
    """The work failed, through no fault of the command that was typed."""

    exit_code = 1


class UsageError(CjdError):
    """The command, the recipe or the input is wrong: the user can mend it."""

    exit_code = 2


class PolicyError(CjdError):
    """The policy refused what was asked."""

    exit_code = 3


class BusyError(CjdError):
    """Try again later: another process holds what is needed."""

    exit_code = 75
