"""Training: pictures from a folder or zip, a resumable loop, and what is learnt."""
