"""What is measured, and whether a difference is more than chance: quality of rankings, of scored pairs."""
