"""The figures of this worker for the desk's board, as worker.board defines them."""
