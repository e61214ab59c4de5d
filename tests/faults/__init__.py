"""Faults while real workers process continuous traffic on a real broker, and the check of what came out.

Run by: python -m tests.faults --dose short|full --row NAME --seed N. A row is a small class; its seed is the traffic's and
the schedule's, though the moments at which it strikes depend on the machine too.
"""
