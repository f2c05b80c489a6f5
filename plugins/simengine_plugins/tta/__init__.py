"""Label-preserving views of a window for test-time augmentation."""
