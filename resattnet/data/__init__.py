"""What is known of a data set, image files, and what is done to the pixels of a batch."""
