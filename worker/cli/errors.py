"""The error of a command that cannot do its work: it ends with one sentence and exit code 1."""


class CommandFailed(Exception):
    """The text is a plain sentence for the person at the console; it holds no record key or value."""
