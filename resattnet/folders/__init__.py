"""Lists of the images of any number, in folders or record files, which are read when they are needed."""
