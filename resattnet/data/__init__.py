"""What is known of a data set, image files, transforms, and the samplers and loaders of batches."""
