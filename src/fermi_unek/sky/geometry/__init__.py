"""Places on the sky: tangent planes, the grid of patches, coverage masks, moving counts."""
