"""Independent verification: recomputes every customer from the input topics and compares what the worker wrote.

Rules:
- Nothing here imports the worker's rules, codecs or tables. This code implements the contract and the stored formats a
  second time. So only a mistake that both implementations share stays unseen (tests/verify/test_independence.py).
- Slow and obvious code is better here than fast code. It uses plain dicts and decimals, and recomputes everything from
  the list of inputs that counted.
- A difference names ids and fields, never a value that could be personal data.
"""
