"""Waiting inputs: how they are stored, released and expire.

Inputs wait for a registration, an order, an email claim, or for earlier inputs in the customer's queue.
"""
