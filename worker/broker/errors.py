"""The one error of the embedded broker. Its text is a plain sentence for the person at the console."""


class BrokerError(Exception):
    """The embedded Kafka cannot start or go on; the text says why and what to do."""
