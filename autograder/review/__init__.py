"""The local page on which TAs review results. See docs/review.md."""
