"""
Delivery: the journal, read onwards for each integration, in a process that the training does not depend on.

    handover    in the training process: gives integrations to the delivery process, and looks after it
    pipe        what it starts, and what goes through; `patience` at exit, and the `trouble` that it tells of
    process     the delivery process itself
    sync        the same for runs at rest: `refunc sync`
    courier     a thread for one integration, with a subscription for each run
    subscription    one run for one integration: windows, retries, dead letters
    feed        what it delivers, a `window` at a time; the open `backend` is what it calls
    cursor      how far a subscription is, on disk, in the `custody` of who delivers

Live delivery, delivery after an outage and `refunc sync` after a crash are the same code: the journal is the queue.
"""
