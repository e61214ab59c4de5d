"""From records to the domain and back: one processor for everything that one partition consumes."""
