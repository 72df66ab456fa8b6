"""How does PynamoDB see the cluster?

`model` has the base class of models, and `install` the patch for plain ones. Both give a model a connection of its own
(`model_connection`), over an `AlternatorConnection` (`connection`) with the settings that PynamoDB was told
(`connection_settings`). A request looks its cluster up once and stays there (`under_way`). `instances` makes model
instances of items, and `batch` keeps what a failed batch did not write. `_pynamodb` has all that we need of PynamoDB
beyond its public methods.
"""
