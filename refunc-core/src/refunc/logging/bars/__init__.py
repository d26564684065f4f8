"""
Progress: bars on a terminal and in a notebook, lines elsewhere, and sharing the terminal with other output.

    arguments        checking the arguments of a progress tracker
    bar              one bar, drawn by tqdm
    drawing          when bars are drawn, and by which thread
    epochs           EpochTracker and epoch_context
    keyboard         keeping bars away while the script asks a question
    loops            ProgressTracker and progress_context
    notebook         bars in notebooks without ipywidgets
    pace             when progress is written as a line
    shared_terminal  other output above the bars
    texts            progress in words
"""
