"""Questions asked of a fit: grids, predictions, comparisons, poststratified estimates."""
