"""The dead letters for the desk, as worker.letter_box defines them."""
