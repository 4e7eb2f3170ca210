"""What images show and what can be read from them: forward and inverse models of voxels, pure functions of arrays."""
