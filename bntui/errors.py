"""The errors a user can cause; each carries the exit code that the command line answers with."""

from __future__ import annotations


class BntuiError(Exception):
    """An error whose message is one line that says what was wrong and what to do."""

    exit_code = 1


class UsageError(BntuiError):
    """A wrong option, value or file named by an option."""

    exit_code = 2


class DataError(BntuiError):
    """The data set is not available, or damaged."""

    exit_code = 3


class DeviceError(BntuiError):
    """The device is not available, or out of memory."""

    exit_code = 4


class ExportError(BntuiError):
    """Results could not be written."""

    exit_code = 5


class ReaderGone(Exception):
    """Whoever read stdout has left: no error, but there is nobody to print the rest for."""


class Interrupted(BaseException):
    """A stop was asked for before training began, so there is nothing to save.

    Not an Exception, so that a library's retry loop does not take it for a failure.
    """
