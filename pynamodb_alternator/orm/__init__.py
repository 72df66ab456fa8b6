"""How does PynamoDB see the cluster?

`model` has the base class of models, and `install` the patch for plain ones. Both give a model a connection of its own
(`model_connection`), over an `AlternatorConnection` (`connection`) with the settings that PynamoDB was told
(`connection_settings`). A request looks its cluster up once and stays there (`under_way`).

`instances` has the functions that make model instances from items, and items from instances. `loading` and `saving`
write the source of these functions, for a class whose `shape` allows it; `generated` compiles it; `wire_values` has the
conversions; and `unchanged` says how long the functions may be used. `pages` has the results that are loaded page by
page, `plain_models` gives all this to plain models, and `batch` keeps the items that a failed batch did not write.

`vector_attribute` and `vector_index` are what models have for vector search; `vector_index_async` is the index for an
event loop, `vector_filter` has the conditions of a search, and `vector_results` what it found.

`_pynamodb` has all that we need of PynamoDB beyond its public methods.
"""
