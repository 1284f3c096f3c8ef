"""Data sets: the catalog of named ones, their files, RecordIO, and folders of images."""
