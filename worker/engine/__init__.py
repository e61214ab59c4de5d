"""Exactly-once processing on Faust: fence, restore, one transaction per batch of a partition (DESIGN, section 2)."""
