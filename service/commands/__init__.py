"""The commands of `surety`, one file each."""
