"""From the rows of a job to files, pages and pictures."""
