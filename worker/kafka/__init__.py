"""Kafka as the worker uses it: the topics, what creates and checks them, who may use them, a reader and a producer."""
