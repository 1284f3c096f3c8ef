"""What is known of a data set, image files, transforms, and the loaders of batches."""
