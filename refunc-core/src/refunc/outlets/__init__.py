"""
Outlets: queues of records for something slow, and the threads that empty them, such as journals and log files.

    appender       an outlet that appends to a file
    backoff        how long to wait before the next try
    batch_state    the file and the batch of a file outlet, as one immutable object
    bounded_queue  the records in memory, and which are dropped
    count          a number that threads and signal handlers increase without a lock
    durability     how much a call waits for
    file           files that only this process writes
    foreign        other libraries' handlers and filters that raise
    locks          locks on open files, which end with the process
    not_on_disk    the part of a file that is not forced to disk yet
    opening        opening files to write
    outlet         the queue, and when it is emptied
    own_folder     folders that refunc makes, and that git ignores
    pump           the threads of a process that empty outlets
    refusal        when a target that refuses is tried again
    replaced       files written as a draft and renamed
    turn           work that one thread does at a time, for all that wait
"""
