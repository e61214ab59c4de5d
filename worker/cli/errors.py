"""How a command ends when it cannot do what it was asked: one sentence and exit code 1."""


class CommandFailed(Exception):
    """The text is a plain sentence for the person at the console; it holds no record key or value."""
