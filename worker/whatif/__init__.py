"""What every customer would have under other rules, computed from the changelogs of the tables (contract, section 7).

- `reading` reads one partition's changelogs from Kafka.
- `histories` keeps of them what the rules count.
- `outcome` computes level, points, debt and VIP anew.
- `comparison` compares that with what each customer has, and adds up.
- `documents` and `chart` write it down.

Nothing here writes to Kafka, and nothing joins a group.
"""
