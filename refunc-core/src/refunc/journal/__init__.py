"""
The journal: the files of a run on disk, and the threads that write them.

Below it are outlets, which it is written through, processes and values. Writing goes `Outlet.append` → deque → `drain`
→ one `write(2)`; reading goes `read_journal(folder)`. The format is written down in `docs/reference/run-format.md`.

    alive         whether a run is still written to
    birth         reading `run.json`
    codec         one record as one line of JSON, and back
    codec_many    many lines decoded at once
    encoded       the structs that are encoded as lines
    ends          how a run of several processes ended
    folder        the run's folder: making it, and the paths in it
    held          the runs that a process of this machine has open
    holes         holes in sparse files
    intake        records of lines, and an account of all else
    kinds         the names of the kinds of line, and of the states of a run
    line          a logger's line in the queue
    metric_set    metrics that are logged together
    numbers       which sequence numbers of a writer were read
    opening       opening a file of a run for reading
    own_segments  the files of one writer: names, numbers, first lines
    pieces        finding the segments of a run, in files of their own or folded
    provenance    whether this user wrote a record
    ranks         the processes that have opened a run together
    reached       the last step and epoch of a run
    reader        every record of a run, forwards and backwards
    record        the records, one frozen class a kind
    rewinds       where attempts went back to, and the points that this hides
    roles         the role of a process: its rank and attempt, in the name of its writer
    scan          one writer's records, block by block, for the index
    segments      the lines of one segment
    stretches     ranges of a segment that have metrics only
    tail          records since a position, for delivery
    tap           watching the records of a writer as they are written
    tapped        a file outlet with taps
    writer        the writer of a process's segments
"""
