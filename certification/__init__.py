"""The mathematics of a certificate: noise, decision, confidence, radius, engine.

No HTTP, no SDK, no database and no torch: a reader can check this package against the papers.
"""
