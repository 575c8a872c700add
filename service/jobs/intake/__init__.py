"""From an archive, a folder or a manifest to the pictures of a job, safely."""
