"""Checks of a fit: diagnostics, summary, predictive checks, cross-validation, sensitivity."""
