"""
Importing runs that other trackers have written: MLflow, W&B offline, TensorBoard, Lightning's CSV files.

A reader of a tracker's files gives `SourceRun`s, whose records are those of a journal; `transfer` writes each as a run
of a store, with the journal writer that trainings use, reads it back, and compares the counts. No tracker's package is
needed, and the source is not changed.

    admission             bounds on the records of a source
    databases             opening others' SQLite files
    detection             which tracker a path is from
    files                 opening a source's files safely
    framing               the frames of W&B's and TensorBoard's files
    lightning             Lightning's CSVLogger
    mlflow                the common part of MLflow's two stores
    mlflow_files          MLflow's file store
    mlflow_sql            MLflow's SQLite database
    problems              damaged and left-out parts
    source                runs and counts, as readers return them
    tensorboard           TensorBoard's event files
    tensorboard_sessions  TensorBoard's hyperparameters in folders of their own
    transfer              writing an imported run
    wandb                 W&B's run folders
    wandb_output          the output of programs in W&B's files
    wandb_values          the values in W&B's files
    wire                  the wire format of protocol buffers
    yaml_files            YAML as MLflow and Lightning write it
"""
