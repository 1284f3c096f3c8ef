"""Data sets that fit into memory: the catalog of named ones, their files, and RecordIO files of your own images."""
