"""Adapters: one provider per file behind one small interface."""
