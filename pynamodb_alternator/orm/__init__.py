"""How does PynamoDB see the cluster?

`model` has the base class of models, and `install` the patch for plain ones. Both give a model a connection of its own
(`model_connection`), over an `AlternatorConnection` (`connection`) with the settings that PynamoDB was told
(`connection_settings`). A request looks its cluster up once and stays there (`under_way`).

`instances` has the functions that make model instances of items, and items of instances: `loading` and `saving` write
their source for a class whose `shape` allows it, `generated` makes functions of it, `wire_values` has the conversions,
and `unchanged` says how long they may be used. `pages` has the results that are loaded page by page, `plain_models`
what plain models get of all this, and `batch` keeps what a failed batch did not write.

`vector_attribute` and `vector_index` are what models have for vector search; `vector_index_async` is the index for an
event loop, `vector_filter` has the conditions of a search, and `vector_results` what it found.

`_pynamodb` has all that we need of PynamoDB beyond its public methods.
"""
