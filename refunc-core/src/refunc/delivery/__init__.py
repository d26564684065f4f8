"""
Delivery: reading the journal for each integration, in a process that the training does not depend on.

Live delivery, delivery after an outage and `refunc sync` after a crash are the same code: the journal is the queue.

    backend       calling the hooks of an integration
    begun         whether this process delivers
    courier       the thread of one integration
    cursor        how far one run is delivered to one integration, as data
    custody       the file of a cursor, and the right to write it
    dead_letters  records that an integration refused
    feed          the records that wait for an integration
    handover      the training's side: starting and supervising the delivery process
    lock          the lock of the process that delivers a run to an integration
    origin        the targets that a run asks for, and whether to trust them
    patience      how long the exit of a training waits
    pipe          the training's ends of the pipes to a delivery process
    process       the delivery process
    said_later    the annotations of a run, for trackers
    share         the records of a run of several processes that are delivered
    restarts      starting delivery processes that died again
    settlement    deciding by a call's error about its records
    standing      whether delivery goes on, waits or is abandoned
    subscription  one run for one integration: windows and retries
    sync          `refunc sync`: runs at rest
    trouble       warning a training of delivery problems, once
    waiting       counting the records after a cursor
    window        the records of one delivery, and the progress of each call
"""
