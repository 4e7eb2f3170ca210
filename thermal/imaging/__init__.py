"""Images of a treatment in patient space.

The models of what images show are in :mod:`thermal.physics.imaging`. Here ``grid`` puts the fields of a run on voxels
and maps back on nodes, ``patient`` is a run as a scanner meets it, ``acquire`` images it, ``quantify`` inverts images;
``nifti`` and ``dicom`` write them.
"""
