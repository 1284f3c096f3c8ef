"""Trained networks opened from their files, and what they say of images: classes, logits, soft masks."""
