"""Ground floor: cameras, skeletons, heatmaps, triangulation. No weights, no files."""
