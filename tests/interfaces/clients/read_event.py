"""Reads a record of customer.events with the CloudEvents SDK of Python, in the way that is named first."""
# mypy: ignore-errors
# The SDK is not there when types are checked.

import json
import sys

from cloudevents.core.bindings import kafka

call, record = sys.argv[1], json.loads(sys.argv[2])
headers = {name: text.encode() for name, text in record["headers"].items()}
message = kafka.KafkaMessage(headers, record["key"].encode(), record["value"].encode())
event = getattr(kafka, call)(message)
told = {"type": event.get_type(), "subject": event.get_subject(), "data": event.get_data()}
sys.stdout.write(json.dumps(told))
