"""Who works on the pictures of jobs, and how."""
