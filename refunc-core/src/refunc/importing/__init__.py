"""
Bringing in runs that other trackers have written: MLflow, W&B offline, TensorBoard, Lightning's CSV files.

A reader of a tracker's files gives `SourceRun`s, whose records are those of a journal; `transfer` writes each as a run
of a store, with the journal writer that trainings use, reads it back, and counts. No tracker's package is needed, and
nothing in the source is changed.
"""
