"""The Customer Context worker. `tables`, `agents` and `api` stand between its lower layers and worker.app."""
