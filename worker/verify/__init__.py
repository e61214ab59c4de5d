"""Independent verification: recomputes every customer from the input topics and compares what the worker wrote.

Rules:
- Nothing here imports the worker's rules, codecs or tables; formats are read as a description and written anew. A
  mistake would have to be made twice, in different words, to stay unseen (tests/verify/test_independence.py).
- Slow and obvious wins: plain dicts, decimals, everything recomputed from the list of what counted.
- A difference names ids and fields, never a value that could be personal.
"""
