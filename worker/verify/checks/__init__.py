"""The comparisons: events, results, rows, claims and dead letters against the recomputed customers."""
