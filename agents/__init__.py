"""The handlers of input records: they decode a record, call the domain and write what it decides."""
