"""Fault tests: real workers process continuous traffic on a real broker, faults strike, and the output is checked.

Run: python -m tests.faults --dose short|full --row NAME --seed N. Each row is a small class. The seed fixes the traffic
and the schedule of faults; the exact moments also depend on the machine.
"""
