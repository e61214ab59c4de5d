"""Exactly-once processing on Faust (docs/architecture.md#invariants).

Each partition is fenced and restored, and each of its batches is one transaction.
"""
