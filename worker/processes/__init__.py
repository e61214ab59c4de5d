"""Several worker processes on one machine: their supervisor, and what they ask each other.

Rules:
- Each process is a whole worker and a member of the consumer group. So exactly-once processing is that of several workers.
- All processes accept from one listening socket, which the supervisor opened and keeps. So any of them answers.
- The supervisor has no Kafka client, no HTTP server and no state that a restart could lose.
"""
