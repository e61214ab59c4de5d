"""Codecs between bytes on topics, files or HTTP and the domain's own types. Remote input is checked here and nowhere else."""
