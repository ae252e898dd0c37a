"""Formulas: their grammar, the calls in them, and how categoricals are coded."""
