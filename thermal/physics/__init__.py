"""Physics at points: functions and kinds that work on nodal and cell arrays and never see a mesh."""
