"""Codecs between bytes and the domain's types, for topics, files and HTTP. Only here is remote input checked."""
